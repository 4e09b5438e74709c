"""A development and a test part for a set that lacks them, so that what is chosen and what is told are kept apart."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...errors import DataInvalid
from ..data.sources import load_data
from ..data.written_splits import write_splits
from ..doctor.material import prepare
from ..doctor.resplit import resplit

_SHARES: Final = {"train": 0.65, "dev": 0.15, "test": 0.2}
LEAST_QUERIES: Final = 40


def with_splits(source: Path, scratch: Path) -> tuple[Path, str]:
    """A folder with train, dev and test, and what was done: *source* where it has all, else a new one in *scratch*.

    Raises:
        DataInvalid: the set cannot be read, has nothing to train on, or too few queries to be divided.
    """
    data = load_data(source)
    missing = [split for split in _SHARES if split not in data.splits]
    if not missing:
        return source, ""
    if "train" in missing:
        raise DataInvalid(path=str(source), reason=f"has no split train; it has {', '.join(data.splits)}")
    queries = len(set(data.splits["train"].queries))
    if queries < LEAST_QUERIES:
        raise DataInvalid(
            path=str(source),
            reason=f"{queries} queries to train on, and no {' and no '.join(missing)} split; dividing them takes "
            f"{LEAST_QUERIES}",
        )
    kept = tuple(split for split in data.splits if split != "train")
    made = resplit(prepare(data, "train", kept), {name: _SHARES[name] for name in ("train", *missing)}, kept)
    told = write_splits(data, made, scratch)
    parts = " and ".join(missing)
    said = f"{parts}: taken out of train, which has no such split; connected pairs stay together"
    return scratch, "; ".join((said, *told))
