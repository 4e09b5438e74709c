"""Judging: a person says which of two encoders' results are better, without knowing whose they are.

evidence    a sign test that may be looked at after every answer
ballot      questions, the two lists of each, in a blind order; what was answered
page        the pages of the form
server      a server for one person on this machine
"""
