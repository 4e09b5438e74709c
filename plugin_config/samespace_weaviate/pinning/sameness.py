"""Whether everybody who says one space id gives the same vectors: the servers behind pins, and the encoder named.

An id is a claim. So a server is asked for the vectors of a few texts that are made then, as queries and as passages,
which two encoders may make, and they are held against those of the encoder that the user named, or against the first
other server of that space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from samespace.artifact.agreement import nearness, unforeseen_texts
from samespace.errors import SamespaceError
from samespace.text import ROLES, Role
from samespace.vectors import Float32

from .pin import Finding, Severity

Ask = Callable[[Sequence[str], Role], Float32]
"""Texts of one role to their vectors, (texts, dims); raises `SamespaceError` where there are none to be had."""


@dataclass(frozen=True, slots=True)
class SpaceSide:
    """Somebody who gives vectors of a space.

    Attributes:
        where: for people: a server's address, or the encoder that was named.
        bound: what it may differ from the fp32 reference, as 1 - cos.
    """

    space_id: str
    where: str
    bound: float
    ask: Ask


class Sameness:
    """Compares each side of a space with the first."""

    def __init__(self, right: SpaceSide | None = None) -> None:
        """*right* is the encoder that the user named."""
        self._texts = unforeseen_texts()
        self._first = {} if right is None else {right.space_id: right}
        self._vectors: dict[tuple[str, str], Float32] = {}

    def judge(self, side: SpaceSide) -> Finding | None:
        """What is to say of *side*; None for the first of its space: nobody is there to compare it with."""
        first = self._first.setdefault(side.space_id, side)
        if first.where == side.where:
            return None
        try:
            near = nearness(self._of(side), self._of(first), bound=side.bound + first.bound)
        except SamespaceError as error:
            return Finding(Severity.FINE, f"NOT compared: {side.where} and {first.where} ({error})")
        if near.holds:
            return Finding(
                Severity.FINE, f"{side.where} gives the vectors of {first.where} (1 - cos up to {near.worst:.1e})"
            )
        return Finding(
            Severity.BROKEN,
            f"{side.where} gives other vectors than {first.where}, and both say this space: on texts made for this "
            f"check 1 - cos is up to {near.worst:.3g}, expected at most {near.most:.3g}. One of them is not what it "
            "says; run samespace verify on the artifact of each",
        )

    def _of(self, side: SpaceSide) -> Float32:
        key = side.space_id, side.where
        if key not in self._vectors:
            self._vectors[key] = np.concatenate([side.ask(self._texts, role) for role in ROLES])
        return self._vectors[key]
