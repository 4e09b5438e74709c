"""A hosted encoder whose model is swapped under its id, asked for its probes as a pinned provider is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samespace.encoder import Encoded, EncodeOptions, Encoder
from samespace.errors import VectorsDisagree
from samespace.text import Role
from samespace.vectors import Vectors


class Swapping(Encoder):
    """Gives what *right* does, and *other*'s vectors once it is `swapped`; one of them for each process."""

    def __init__(self, right: Encoder, other: Encoder, *, swapped: bool = False) -> None:
        self._right, self._other, self.swapped = right, other, swapped
        self._asked = self._unconfirmed = 0

    @property
    def space_id(self) -> str:
        return self._right.space_id

    @property
    def name(self) -> str:
        return "hosted"

    @property
    def dims(self) -> int:
        return self._right.dims

    @property
    def token_limit(self) -> int:
        return self._right.token_limit

    @property
    def confirmations(self) -> int:
        return self._asked

    def confirm(self) -> None:
        if self._unconfirmed:
            self.ask()

    def ask(self) -> None:
        """As the watch does before use, every ten minutes, and at the end of a job."""
        if self.swapped:
            raise VectorsDisagree(space=self.space_id, first="pinned", second="DRIFTED", worst=1.0, bound=1e-6)
        self._asked, self._unconfirmed = self._asked + 1, 0

    def encode_detailed(self, texts: Sequence[str], *arguments: Any, **options: Any) -> Encoded:
        if not self._asked:
            self.ask()
        found = (self._other if self.swapped else self._right).encode_detailed(texts, *arguments, **options)
        self._unconfirmed += len(texts)
        return replace(found, vectors=Vectors(np.asarray(found.vectors.__array__()), self.space_id))

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        return self.encode_detailed(texts, role, long_texts=options.long_texts, dims=options.dims)
