"""Mends what an audit named, and nothing else: wrong vectors are encoded again, unsearchable ones indexed again.

Import from here: `mend` (repair, RepairReport) and `journal` (RepairJournal). What is wrong is decided by `audit`,
which also proves the repair: it looks at everything again afterwards.
"""
