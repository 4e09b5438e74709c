"""samespace_weaviate: collections that are pinned to one space, and refuse every other.

from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create

Its rooms: `pinning` (what a pinned collection looks like, what a schema says about its space, and what has to be done
to get from one to the other), `access` (the one way into Weaviate), `importing` (bulk), `collections` (what programs
use), `audit` (whether what is stored is right) and `migration` (to another encoder).

Nothing here imports weaviate before a `Store` is opened.
"""

from .access.client import Store
from .access.database import Database
from .access.values import Blend, Failure, Hit, Passage, StoredObject
from .collections.aliased import AliasedCollection
from .collections.collection import PinnedCollection, carry_out, create
from .collections.specfile import apply, read_collections
from .importing.importer import ImportOptions
from .importing.report import ImportReport
from .pinning.index import Index
from .pinning.pin import Finding, PinCheck, Severity, check_pin
from .pinning.plan import Plan, plan
from .pinning.spec import CollectionSpec, vector_name

__all__ = [
    "AliasedCollection", "Blend", "CollectionSpec", "Database", "Failure", "Finding", "Hit", "ImportOptions",
    "ImportReport", "Index", "Passage", "PinCheck", "PinnedCollection", "Plan", "Severity", "Store", "StoredObject",
    "apply", "carry_out", "check_pin", "create", "plan", "read_collections", "vector_name",
]  # fmt: skip
