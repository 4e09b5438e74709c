"""Adapting an encoder to documents alone: nobody has asked anything yet.

documents   what was read, as documents of sections (`markup` reads Markdown, HTML and plain text)
signals     pairs of a made-up query and a passage, each kind by one small pure function
heldout     which documents are trained on, and the questions that are made of the others
distill     what a teacher says of mined candidates
trial       short runs, judged on the development questions
verdict     better, no better or worse, on what it rests
run         all of it in order
"""
