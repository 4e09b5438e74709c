"""A hosted encoder as an `Encoder`, so that whatever works with one (audit, adopt, migrate, search) works with it.

The provider cuts or rejects what is too long; nothing is windowed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final

import numpy as np

from ..encoder import Encoded, EncodeOptions, Encoder, check_dims
from ..errors import RequestInvalid, SpaceMismatch, TextTooLong
from ..text import ROLES, Role, check_role
from ..vectors import Float32, Vectors, cosine_distance
from .door import CHARS_A_TOKEN, ProviderDoor, pieces
from .drift import ProviderWatch
from .manifest import ProviderManifest
from .pin import FAR

WITNESSED: Final = 16
"""Texts, of one request or of several small ones, from which on a probe goes with them."""


class ProviderEncoder(Encoder):
    """The space of a pinned provider. It gives no vector before the probes showed that it is the pinned model.

    As a context it asks again when it ends without an error, unless it encoded a few texts only.
    """

    def __init__(self, manifest: ProviderManifest, door: ProviderDoor | None = None) -> None:
        self.manifest = manifest
        self.door = door or ProviderDoor.of(manifest)
        self.watch = ProviderWatch(manifest, self.door)
        self._space_id = manifest.space_id
        self._witnesses = {role: [at for at, each in enumerate(manifest.roles) if each == role] for role in ROLES}
        self._turn = count()
        self._without = 0
        """Texts since the last request with a probe."""

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def dims(self) -> int:
        return self.manifest.dims

    @property
    def token_limit(self) -> int:
        return self.manifest.token_limit

    @property
    def bound(self) -> float:
        return self.manifest.bound

    @property
    def confirmations(self) -> int:
        return self.watch.confirmations

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        """One vector a text, whatever is asked for long ones: the provider has no windows.

        Raises:
            ProviderDrifted: the provider does not give the vectors of the pinned model.
            ServerUnavailable: it stayed away.
        """
        check_dims(options.dims, self.dims, ())
        check_role(role)
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise RequestInvalid(field="texts", reason="expected a list of strings")
        tokens = tuple(-(-len(text) // CHARS_A_TOKEN) for text in texts)
        if options.long_texts == "reject" and (over := [n for n in tokens if n > self.token_limit]):
            raise TextTooLong(index=tokens.index(over[0]), tokens=over[0], limit=self.token_limit)
        if texts:
            self.watch.before_use()
        rows = self._rows(texts, role)
        self.watch.used(len(texts))
        if len(rows) and rows.shape[1] != self.dims:
            raise SpaceMismatch(
                expected=f"{self.space_id} ({self.dims} dims)",
                found=f"vectors of {rows.shape[1]} dims",
                where=self.name,
            )
        if options.progress is not None:
            options.progress(len(texts))
        rows = rows if len(rows) else np.empty((0, self.dims), dtype=np.float32)
        spans = tuple((place, 0, len(text)) for place, text in enumerate(texts))
        return Encoded(Vectors(rows, self._space_id), tokens, (1,) * len(texts), spans)

    def _rows(self, texts: Sequence[str], role: Role) -> Float32:
        """What the provider makes of *texts*; of many, each request has a probe in it, as a witness."""
        most = self.door.wire.most
        self._without += len(texts)
        if self._without < WITNESSED or most < 2:
            return self.door.rows(texts, role)
        self._without = 0
        return self.door.joined([self._witnessed(some, role) for some in pieces(texts, most - 1)])

    def _witnessed(self, texts: Sequence[str], role: Role) -> Float32:
        """Rows of one request, in which a text has the vector that was pinned.

        A model that is swapped, and swapped back before the probes are asked for again, is met here alone.
        """
        place = self._witnesses[role][next(self._turn) % len(self._witnesses[role])]
        rows = self.door.rows([*texts, self.manifest.texts[place]], role)
        if rows.shape[1] == self.dims:
            far = float(cosine_distance(rows[-1:], self.manifest.vectors[place : place + 1])[0])
            if not far <= max(FAR, self.bound):
                self.watch.met_another(self.manifest.texts[place], far)
        return rows[:-1]

    def confirm(self) -> None:
        """Ask for the probes again, if anything was encoded since; raises as `encode_with`."""
        self.watch.confirm()

    def close(self) -> None:
        self.door.close()

    def __exit__(self, kind: object = None, *_: object) -> None:
        try:
            if kind is None:
                self.watch.confirm(unless_few=True)
        finally:
            self.close()
