"""What a collection holds, and how fast its texts are encoded here: the numbers behind the cost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from samespace.encoder import Encoder

from ..access.database import Database
from .cost import Cost, EncodingTrial, estimate
from .plan import Migration
from .transfer import text_of
from .verification import spread

TRIAL_TEXTS = 64


def survey(
    database: Database,
    migration: Migration,
    encoder: Encoder,
    *,
    max_objects_per_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Cost:
    """Count the active tenants' objects, and encode some texts of one of them; nothing is written or woken."""
    status = database.tenant_states(migration.old) if migration.tenants else {"": "HOT"}
    awake = sorted(tenant for tenant, found in status.items() if found == "HOT")
    counts = {tenant: database.of_tenant(tenant).count(migration.old) for tenant in awake}
    texts: list[str] = []
    if any(counts.values()):
        fullest = max(awake, key=lambda tenant: counts[tenant])
        chance = random.Random(migration.id)
        texts = [
            text_of(record, migration.text_property)
            for record in spread(database.of_tenant(fullest), migration.old, TRIAL_TEXTS, chance)
        ]
    trial = EncodingTrial((), (), 0.0)
    if texts:
        encoder.encode(texts[:1], "passage")  # whatever is done once is not part of the speed
        start = clock()
        encoded = encoder.encode_detailed(texts, "passage")
        trial = EncodingTrial(encoded.tokens, encoded.windows, clock() - start)
    return estimate(sum(counts.values()), len(status) - len(awake), encoder.dims, trial, max_objects_per_s)
