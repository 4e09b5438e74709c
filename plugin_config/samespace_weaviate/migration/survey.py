"""What a collection holds, and how fast its texts are encoded here: the numbers behind the cost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from samespace.encoder import Encoder

from .cost import Cost, Trial, estimate
from .door import Door
from .plan import Migration
from .transfer import text_of
from .verification import spread

TRIAL_TEXTS = 64


def survey(
    door: Door,
    migration: Migration,
    encoder: Encoder,
    *,
    max_objects_per_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Cost:
    """Count the active tenants' objects, and encode some texts of one of them; nothing is written or woken."""
    status = door.tenants(migration.old) if migration.tenants else {"": "HOT"}
    awake = sorted(tenant for tenant, found in status.items() if found == "HOT")
    counts = {tenant: door.count(migration.old, tenant) for tenant in awake}
    texts: list[str] = []
    if any(counts.values()):
        fullest = max(awake, key=lambda tenant: counts[tenant])
        chance = random.Random(migration.id)
        texts = [
            text_of(record, migration.text_property)
            for record in spread(door, migration.old, fullest, TRIAL_TEXTS, chance)
        ]
    trial = Trial((), (), 0.0)
    if texts:
        encoder.encode(texts[:1], "passage")  # whatever is done once is not part of the speed
        start = clock()
        encoded = encoder.encode_detailed(texts, "passage")
        trial = Trial(encoded.tokens, encoded.windows, clock() - start)
    return estimate(sum(counts.values()), len(status) - len(awake), encoder.dims, trial, max_objects_per_s)
