"""Two encoders trained together, each with its head, until queries through one find passages through the other.

`towers` puts two models and their heads side by side; `tuning` trains them and scores what comes of each epoch.
"""
