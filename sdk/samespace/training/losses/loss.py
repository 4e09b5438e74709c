"""What a loss is: its formula, what an encoder reaches without learning anything, and what it needs of the data.

A loss is a module of `kinds` with a `LOSS`; its name is the module's. Nothing else has to know of it: configuration,
data, training and sentinel ask the loss. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Literal

from . import kinds

if TYPE_CHECKING:
    from torch import Tensor

    from .pairs import BatchPairs

Needs = Literal["pairs", "labels", "teacher"]


@dataclass(frozen=True, slots=True)
class LossTerms:
    """The numbers of a formula; a loss that has no use for one ignores it.

    Attributes:
        temperature: what cosines are divided by, above 0; a tensor where it is trained.
        symmetric: whether also queries compete for a passage.
        teacher_temperature: what a teacher's scores are divided by, above 0.
    """

    temperature: Tensor | float = 0.05
    symmetric: bool = False
    teacher_temperature: float = 1.0


Formula = Callable[["Tensor", "Tensor", "BatchPairs", LossTerms], "Tensor"]
"""Query vectors (queries, dim), passage vectors (passages, dim), of any length, to a scalar."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss.

    Attributes:
        name: the word in a configuration.
        needs: "pairs" that belong together, pairs with "labels", or a "teacher"'s scores of pairs and negatives.
        formula: how wrong the vectors are.
        trivial: what an encoder reaches that tells nothing apart: the bar that learning has to get below.
        lowest: (negatives of a query, temperature) to about the best that training reaches; None for a loss to which
            the other passages of a batch are nothing. With it, guessing is the log of how many passages compete.
    """

    name: str
    needs: Needs
    formula: Formula
    trivial: Callable[[BatchPairs, LossTerms], float]
    lowest: Callable[[float, float], float] | None = None

    @property
    def ranks(self) -> bool:
        """Whether the other passages of a batch are negatives, so that their number and the temperature matter."""
        return self.lowest is not None


@cache
def loss_names(needs: Needs | None = None) -> tuple[str, ...]:
    """The losses that there are, of all kinds or of one, in order of their names."""
    names = sorted(module.name for module in iter_modules(kinds.__path__))
    return tuple(name for name in names if needs is None or loss_named(name).needs == needs)


@cache
def loss_named(name: str) -> Loss:
    """The loss of a configuration; *name* is one of `loss_names`."""
    loss: Loss = import_module(f"{kinds.__name__}.{name}").LOSS
    assert loss.name == name, (loss.name, name)
    return loss
