"""samespace_weaviate: collections that are pinned to one space, and refuse every other.

from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create

What each module is for: `spec` and `index` (what a pinned collection looks like), `specfile` (the same as a file),
`pin` (what a schema says about its space), `check` (all pins together; with `routes`, `unpinned`, `collisions` and
`served`), `diff` and `plan` (what has to be done to get from one to the other), `environment` (what Weaviate itself
needs), `objects` (the values that cross the door), `store` (the door: the only module that imports weaviate),
`discover` (which Weaviate to use), `importer` (bulk; with `sources`, `batches`, `windows`, `pipeline`, `journal` and
`report`), `collection` and `aliased` (what programs use; with `grouping` and `conditions`), `migration` (to another
encoder), `audit` (whether what is stored is right), `tour` (shows that another space is refused).

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
