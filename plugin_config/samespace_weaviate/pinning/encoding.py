"""Whether Weaviate can have a text encoded for a pinned vector: it is asked, as a query by text would ask it.

A schema can be right and a server right, and Weaviate not reach it. The server refuses every space but its own, so an
answer says that the space is the pinned one, too.
"""

from __future__ import annotations

from samespace.errors import SamespaceError, WeaviateError

from ..access.database import Database
from .pin import Finding, Pin, Severity

PROBE = "samespace asks whether this text can be encoded"


class CannotEncode(WeaviateError):
    """Weaviate's module gave no vector for a text."""

    def __init__(self, *, collection: str, reason: str) -> None:
        self.collection, self.reason = collection, reason
        super().__init__(f"{collection}: Weaviate cannot have a text encoded: {reason}")


def has_encoded(database: Database, collection: str, vector: str) -> bool:
    """Whether Weaviate's module encoded a text for *vector*; False where nobody could be asked: no tenant is active.

    Raises:
        CannotEncode: it did not; the server is away from where Weaviate is, or serves another space.
        WeaviateUnavailable: Weaviate itself does not answer.
    """
    schema = database.schema(collection) or {}
    tenants = [""]
    if (schema.get("multiTenancyConfig") or {}).get("enabled"):
        tenants = [tenant for tenant, state in database.tenant_states(collection).items() if state == "HOT"][:1]
    if not tenants:
        return False
    try:
        database.of_tenant(tenants[0]).near_text(collection, vector, PROBE, 1, bare=True)
    except WeaviateError as error:
        raise CannotEncode(collection=collection, reason=str(error)) from error
    return True


def judge_encoding(database: Database, collection: str, pin: Pin) -> list[Finding]:
    """What asking Weaviate says about *pin*; nothing for pins that it does not encode for."""
    if pin.module == "none":
        return []
    try:
        asked = has_encoded(database, collection, pin.vector)
    except CannotEncode as error:
        if "forbidden" in error.reason.lower() or "permission" in error.reason.lower():
            return [Finding(Severity.FINE, f"{pin.vector}: NOT asked for vectors of texts: {error.reason}")]
        message = f"queries by text fail: Weaviate cannot have one encoded: {error.reason}"
        return [Finding(Severity.BROKEN, f"{pin.vector}: {message}")]
    except SamespaceError as error:
        return [Finding(Severity.FINE, f"{pin.vector}: NOT asked for vectors of texts: {error}")]
    if not asked:
        return [Finding(Severity.FINE, f"{pin.vector}: NOT asked for vectors of texts: no tenant is active")]
    return [Finding(Severity.FINE, f"{pin.vector}: Weaviate had a text encoded")]
