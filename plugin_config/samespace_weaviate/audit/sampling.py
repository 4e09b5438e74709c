"""Which objects are looked at: every one of a tenant with the same chance.

Weaviate walks through a collection in the order of ids and can begin anywhere. To begin at random ids and to take
what comes next would be quick, and wrong: an object behind a gap is taken more often than one in a crowd, and ids that
another program made (from a counter, from the time of day) stand in crowds. Just those are the ones that an audit
looks for. So all ids are read, without texts and vectors, and a reservoir keeps a uniform sample. It costs one walk.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def reservoir(items: Iterable[Item], size: int | None, chance: random.Random) -> tuple[list[Item], int]:
    """(a uniform sample of *size* items without replacement, how many items there were).

    All of them, if there are no more than *size*, or with None.

    Source: algorithm R, Vitter 1985, ACM TOMS 11(1), section 3.
    """
    kept: list[Item] = []
    seen = 0
    for item in items:
        seen += 1
        if size is None or len(kept) < size:
            kept.append(item)
        elif (place := chance.randrange(seen)) < size:
            kept[place] = item
    return kept, seen
