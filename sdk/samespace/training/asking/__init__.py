"""Asking a generator: a language model writes questions that passages answer.

generator    prompt, cost, and the requests to an OpenAI-compatible server
answers      what it has answered, kept line by line, so that nothing is paid for twice
round_trip   which of its questions find their passage again
"""
