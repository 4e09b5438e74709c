"""Exporting: from a checkpoint to an artifact, with the proof that nothing changed on the way. Needs the extra `train`.

What people call is `samespace.export`, in `samespace.api.commands`.
"""
