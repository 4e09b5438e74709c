"""Imitating: an encoder learns to give vectors that are better than its own.

neighbours    passages drawn towards what lies near them
alignment     a larger encoder's vectors, turned into the space of the one that learns
query_log     what people asked, without judgements
vector_table  vectors that were made, as the guide of a training run
"""
