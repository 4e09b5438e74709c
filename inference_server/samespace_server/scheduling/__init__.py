"""From requests to runs of the model: who waits, who is rejected, what shares a batch.

Import from here: `engine` (Engine, one queue and its workers for each space) and `composite` (several engines as
one). `batching`, `speed` and `pacing` are pure. What is counted is told to a `Meters` (`meters`), which `observing`
implements; this room knows no metrics library.
"""
