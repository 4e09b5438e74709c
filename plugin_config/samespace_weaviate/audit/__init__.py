"""Whether stored vectors are what the pinned encoder gives for the stored texts, found out on a sample.

A schema says what vectors should be; only re-encoding says what they are. Vectors of another encoder of the same
length, of an older text or of another text recipe pass every check that a database makes.

    report = audit(store, "Article", encoder)
    report.clean, report.at_most      # nothing wrong was found, and at most this share can be (99 %)

`sampling` and `bounds` say which objects are looked at and what that is worth, `tolerance` how far apart right
vectors may be, `compare` and `explain` what a wrong one is; `findings` is the report, `words` the report for people.
What it gives up: drift that is smaller than the bound of the build that wrote,
which matters for int8.
"""

from ..access.values import Shard
from .findings import AuditReport, Kind, Offender, TenantAudit
from .run import AuditOptions, audit

__all__ = [
    "AuditOptions", "AuditReport", "Kind", "Offender", "Shard", "TenantAudit", "audit",
]  # fmt: skip
