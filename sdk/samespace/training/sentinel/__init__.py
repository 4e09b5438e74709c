"""Watching a training: `vitals` measures loss, rank and distances; `judge` turns them into alarms with a cause.

Both take numbers and return values; what to do about an alarm is decided by `training.finetuning`.
"""
