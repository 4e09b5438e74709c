"""What may pass by itself: the one table that every retry in the plugin goes by. Pure.

An answer may pass if the same request can be right a little later: Weaviate or an encoder behind it restarts, is busy,
elects a leader, or a replica is away for a moment. A refusal that stays is told at once, with its reason.
"""

from __future__ import annotations

import re
from typing import Final

STATUSES: Final = frozenset({408, 429, 502, 503, 504})
"""Of HTTP. 500 is not among them: Weaviate gives it for what is wrong for good, too; its words decide."""
CODES: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})
"""Names of gRPC's codes."""

# A bare number proves nothing: "vector has length 504, expected 384" stays wrong. A status is one with a word for it.
_WORDS: Final = re.compile(
    r"\b(?:status|code|http)\b[^a-z0-9]{0,8}(?:code[^a-z0-9]{0,3})?(?:408|429|502|503|504)\b"
    r"|\b(?:408|429|502|503|504)\b[^a-z0-9]{0,3}(?:too many|bad gateway|service unav|gateway time|error)"
    r"|too many requests|bad gateway|gateway time-?out"
    r"|timed? ?out\b|\btimeout\b|\bdeadline\b|unavailable|\boverloaded\b|try again later"
    r"|connection (?:refused|reset|closed|aborted|is closing)|broken pipe|context canceled|server disconnected"
    r"|unexpected eof"
    r"|leader not found|leadership lost|not (?:the )?leader\b|shutting down|\bnot ready\b"
    r"|cannot (?:reach enough replicas|achieve consistency level)|not enough replicas|no (?:read|write) replica found",
    re.I,
)
_FINAL: Final = re.compile(r"larger than max|message size|payload too large|deleted on another replica", re.I)
"""RESOURCE_EXHAUSTED is also what gRPC says of a message that is too large, which no waiting makes smaller; and 1.34.2
"cannot achieve consistency level" where replicas disagree about a deletion, which it never settles."""


def status_may_pass(status: int) -> bool:
    """Whether an HTTP status is one of an outage."""
    return status in STATUSES


def code_may_pass(code: str, details: str = "") -> bool:
    """Whether a gRPC code, by its name, is one of an outage."""
    return code in CODES and not _FINAL.search(details)


def reason_may_pass(reason: str) -> bool:
    """Whether the reason that Weaviate gives for one object, or in an error's body, is one of an outage."""
    return bool(_WORDS.search(reason)) and not _FINAL.search(reason)
