"""What a pass over two collections is told: from where to where, how fast, and what it must not do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from samespace.encoder import Encoder
from samespace.text import Role
from samespace.vectors import Float32

from ...access.patience import Patience
from ...access.values import StoredObject
from ..compare import Same, same_with_vectors
from .by_name import WrittenByName

Encode = Callable[[Sequence[str]], Float32]
"""Texts to vectors, shape (n, dims)."""


@dataclass(frozen=True, slots=True)
class CopyRoute:
    """From one collection to another.

    Attributes:
        source, target: collections.
        text_property: what is encoded.
        tenants: whether they have tenants.
        vector: name of the target's vector.
        encode: makes the vectors; None leaves that to the target's own module.
        carries: whether objects are copied with the vectors that they have.
        renamed: (name in the source, name in the target) of a vector that is carried under another name; None for none.
        hosted: whose vectors `encode` gives, where that may become another one meanwhile; None where it cannot.
    """

    source: str
    target: str
    text_property: str
    tenants: bool
    vector: str = ""
    encode: Encode | None = None
    carries: bool = False
    renamed: tuple[str, str] | None = None
    hosted: Encoder | None = None

    @property
    def same(self) -> Same:
        """Whether an object needs nothing done."""
        return same_with_vectors if self.carries else StoredObject.same_content


@dataclass(frozen=True, slots=True)
class CopyPace:
    """How fast, and who is told.

    Attributes:
        max_objects_per_s: 0 for no limit.
        progress: gets each number of objects that were written.
        patience: with objects that are refused for a reason that may pass; its clock and pause are those of all.
    """

    max_objects_per_s: float = 0.0
    progress: Callable[[int], None] = lambda count: None
    patience: Patience = field(default_factory=Patience)

    def clock(self) -> float:
        """Seconds."""
        return self.patience.clock()

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.patience.pause(seconds)


@dataclass(frozen=True, slots=True)
class PassLimits:
    """What a pass must not do while the alias leads to the source.

    Attributes:
        allowed: asked before each batch; raises where the alias leads elsewhere.
        late_ms: what the target has got since then, by Weaviate's clock, it got by its own name and not from us: it is
            not overwritten or deleted; 0 where that cannot be.
        keep: nothing is deleted in the target, whatever the source lacks.
        by_name: sees what clients write to the target by its name, which they know; None where they cannot.
    """

    allowed: Callable[[], None] = lambda: None
    late_ms: int = 0
    keep: bool = False
    by_name: WrittenByName | None = None


def vectors_of(encoder: Encoder, role: Role) -> Encode:
    """Its vectors of queries, or of passages."""
    return lambda texts: np.asarray(encoder.encode(list(texts), role).__array__())
