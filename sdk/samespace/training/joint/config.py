"""How two encoders are trained together: options of `samespace align`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class JointConfig:
    """What comes after the heads.

    Attributes:
        rate: highest rate of AdamW, for encoders and heads; it rises over a tenth of the steps and falls to 0. Default
            2e-5. A small set wants more epochs rather than a higher rate.
        epochs: times that each pair is seen. Default 2. The development split chooses the best epoch, or none.
        batch_size: pairs of a step; the others of the batch are the negatives. Default 64. Costs no memory.
        temperature: what cosines are divided by. Default 0.05.
        seed: of the order of the pairs. Default 1.
    """

    rate: float = 2e-5
    epochs: int = 2
    batch_size: int = 64
    temperature: float = 0.05
    seed: int = 1

    def __post_init__(self) -> None:
        for key, low, high in _RANGES:
            if not low <= getattr(self, key) <= high:
                raise ConfigInvalid(key=f"joint {key}", reason=f"{getattr(self, key)!r}; expected {low:g} to {high:g}")


_RANGES: Final = (("rate", 1e-8, 1e-2), ("epochs", 1, 1000), ("batch_size", 2, 65_536))
