"""How a head is trained: a dozen settings, all of them options of `samespace train-head` and `samespace align`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ...errors import ConfigInvalid

KINDS: Final = ("linear", "mlp")
LOSSES: Final = ("infonce", "cosine_mse")
STARTS: Final = ("base", "random")
RATES: Final = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""What the probe tries: each is a whole training, which takes seconds."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """What is trained, and how.

    Attributes:
        kind: "linear", one matrix and a bias; or "mlp", one hidden layer with ReLU. Default "linear": with a few
            thousand pairs an MLP learns them by heart. Try it from some ten thousand pairs on.
        hidden: units of the MLP's hidden layer, at least twice the dims, so that it can start as the base. Default 0:
            twice the base's dims. More cost in proportion, in the graph too.
        dims: length of the new vectors. Default 0: the base's, or the smaller of two encoders'. Fewer make a smaller
            index; the head is then trained for what is lost.
        separate: one head for queries and another for passages. Default false. The artifact then holds the encoder
            twice. Worth a try where queries look nothing like passages.
        loss: "infonce", where the other passages of a batch are the negatives and known answers are masked; or
            "cosine_mse", (cosine - label)^2, for data with labels. Default "infonce".
        negatives: random passages that each pair gets with label 0 in "cosine_mse", where the data has no labels.
            Default 1.
        rate: highest rate of Adam; it falls to 0 over the run. Default 0: each of `RATES` is tried, and the
            development split chooses.
        epochs: times that each pair is seen. Default 10. The development split also chooses how many of them.
        batch_size: pairs of a step. Default 256.
        temperature: what cosines are divided by in "infonce", above 0. Default 0.05.
        start: "base", where the head begins as the base encoder (or, between two encoders, as the rotation that
            brings them closest), so that training can only add to it; or "random", as torch initialises layers.
            Default "base". "random" needs many more pairs.
        seed: of the order of the pairs, the random negatives and a random start. Default 1.
    """

    kind: str = "linear"
    hidden: int = 0
    dims: int = 0
    separate: bool = False
    loss: str = "infonce"
    negatives: int = 1
    rate: float = 0.0
    epochs: int = 10
    batch_size: int = 256
    temperature: float = 0.05
    start: str = "base"
    seed: int = 1

    def __post_init__(self) -> None:
        for key, choices in (("kind", KINDS), ("loss", LOSSES), ("start", STARTS)):
            if getattr(self, key) not in choices:
                raise ConfigInvalid(key=key, reason=f"{getattr(self, key)!r}; expected one of {', '.join(choices)}")
        for key, low, high in _RANGES:
            if not low <= getattr(self, key) <= high:
                raise ConfigInvalid(key=key, reason=f"{getattr(self, key)!r}; expected {low:g} to {high:g}")
        if self.kind == "linear" and self.hidden:
            raise ConfigInvalid(key="hidden", reason=f"{self.hidden}; a linear head has no hidden layer: say kind mlp")

    def to_json(self) -> Mapping[str, Any]:
        """The plain form, for the record."""
        return asdict(self)


_RANGES: Final[tuple[tuple[str, float, float], ...]] = (
    ("hidden", 0, 65_536),
    ("dims", 0, 65_536),
    ("negatives", 1, 100),
    ("rate", 0, 1),
    ("epochs", 1, 10_000),
    ("batch_size", 2, 65_536),
    ("temperature", 0.001, 10),
    ("seed", 0, 2**31 - 1),
)
