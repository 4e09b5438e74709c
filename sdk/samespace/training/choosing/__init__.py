"""Training without a configuration: the data decide.

traits   what a set is like: size, templates, copies, lengths
choice   traits to training keys, each with its reason
splits   a development and a test part where a set lacks them
search   rate, blend and more by trial on the development part, within a budget
poolings several poolings side by side, for a configuration
"""
