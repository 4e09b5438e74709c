"""Pin a hosted encoder, and see whether it is still the one that was pinned.

Pinning asks for some probes several times: the mean is kept, and how far answers are from it is the provider's noise. A
check asks once. A probe beyond the bound is asked for again, because a provider is many machines and one answer may be
off; only what stays off is drift. So an honest provider raises no alarm, and another model, another length or a
changed text path does so in one check.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from ..artifact.probes import SENTENCES, SHORT
from ..errors import RequestInvalid, ServerUnavailable
from ..folders import whole_folder
from ..text import ROLES, Role
from ..vectors import Float32, cosine_distance, normalise
from .encoder import ProviderDoor
from .manifest import FILE, ProviderManifest

PROBES: Final = tuple(text for text in (*SENTENCES, *SHORT) if len(text) > 8)[:32]
REPEATS: Final = 5
A_REQUEST: Final = 4
"""Probes of one request: where a provider answers with several models, each request may meet another one."""
MOST_NOISE: Final = 1e-3
"""1 - cos of answers to the same text, beyond which they are of several models."""
FAR: Final = 0.01
"""1 - cos of an answer that no other answer excuses: it is of another model."""
MARGIN: Final = 5.0
"""How many times the noise that was seen counts as the same: rare answers are farther off than a few repeats show."""
LEAST: Final = 1e-6
"""1 - cos below which nothing is told: rounding of float32."""
AGAIN: Final = 4
"""Times that a probe which is off is asked for again."""


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """What a provider gives now, beside what it gave.

    Attributes:
        worst: the largest 1 - cos of a probe, of its nearest answer; infinite where lengths differ.
        bound: that counts as the same.
        drifted: texts whose answers all were beyond it, or of which one was farther than `FAR`.
        dims: of the vectors that came.
        asked: probes that were sent, repeats included.
    """

    worst: float
    bound: float
    drifted: tuple[str, ...]
    dims: int
    asked: int

    @property
    def same(self) -> bool:
        """Whether every probe is what it was."""
        return not self.drifted


def pin_provider(
    door: ProviderDoor,
    provider: str,
    out: Path | str,
    *,
    token_limit: int,
    repeats: int = REPEATS,
    progress: Callable[[int], None] = lambda count: None,
) -> ProviderManifest:
    """Learn probes and noise, and write the manifest into the folder *out*, whole or not at all.

    Args:
        door: an endpoint of *provider*.
        token_limit: as the provider says.
        repeats: times that every probe is asked for, 2 or more.
        progress: gets how many more probes were answered.

    Raises:
        RequestInvalid: too few repeats.
        ServerUnavailable: it stayed away, gives vectors of several lengths, or answers as several models would.
    """
    if repeats < 2:
        raise RequestInvalid(field="repeats", reason=f"{repeats}; expected 2 or more, or the noise is not seen")
    roles: tuple[Role, ...] = tuple(ROLES[place % len(ROLES)] for place in range(len(PROBES)))
    answers = []
    for _ in range(repeats):
        answers.append(_ask(door, PROBES, roles))
        progress(len(PROBES))
    if len({each.shape for each in answers}) > 1:
        raise ServerUnavailable(address=door.address, reason="answers vectors of several lengths")
    stacked = np.stack(answers)
    mean = normalise(stacked.mean(axis=0, dtype=np.float64).astype(np.float32))
    noise = max(float(cosine_distance(each, mean).max()) for each in stacked)
    if noise > MOST_NOISE:
        raise ServerUnavailable(
            address=door.address,
            reason=f"answers to the same text differ by up to {noise:.1e} (1 - cos), and {MOST_NOISE:.0e} is allowed",
            remedy="two models seem to answer there (a rolling update, two regions); nothing was pinned, try later",
        )
    if float(np.abs(mean @ mean.T - 1).max()) < 1e-3:
        raise ServerUnavailable(address=door.address, reason="answers the same vector to every text")
    found = ProviderManifest(
        provider=provider,
        model=door.model,
        base_url=door.address,
        asked_dims=door.dims,
        texts=PROBES,
        roles=roles,
        vectors=mean,
        noise=noise,
        bound=max(LEAST, MARGIN * noise),
        token_limit=token_limit,
        pinned_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with whole_folder(Path(out), replace=False) as work:
        (work / FILE).write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    return found


def check_provider(manifest: ProviderManifest, door: ProviderDoor) -> ProviderCheck:
    """Ask for the probes, and again for those that are off.

    Raises:
        ServerUnavailable: it stayed away.
    """
    nearest = np.full(len(manifest.texts), np.inf)
    left, asked, dims, foreign = list(range(len(manifest.texts))), 0, manifest.dims, set[int]()
    for _ in range(1 + AGAIN):
        rows = _ask(door, [manifest.texts[i] for i in left], [manifest.roles[i] for i in left])
        asked, dims = asked + len(left), int(rows.shape[1])
        if dims != manifest.dims:
            return ProviderCheck(float("inf"), manifest.bound, manifest.texts, dims, asked)
        distances = cosine_distance(rows, manifest.vectors[left])
        nearest[left] = np.minimum(nearest[left], distances)
        foreign |= {place for place, far in zip(left, distances, strict=True) if far > FAR}
        left = [place for place in left if nearest[place] > manifest.bound]
        if not left:
            break
    drifted = tuple(manifest.texts[place] for place in sorted({*left, *foreign}))
    return ProviderCheck(float(nearest.max()), manifest.bound, drifted, dims, asked)


def _ask(door: ProviderDoor, texts: tuple[str, ...] | list[str], roles: tuple[Role, ...] | list[Role]) -> Float32:
    """Rows in the order of the texts, each role in its own requests."""
    found: dict[int, Float32] = {}
    for role in ROLES:
        places = [place for place, each in enumerate(roles) if each == role]
        for start in range(0, len(places), A_REQUEST):
            some = places[start : start + A_REQUEST]
            found |= dict(zip(some, door.rows([texts[place] for place in some], role), strict=True))
    lengths = {row.shape for row in found.values()}
    if len(lengths) > 1:
        raise ServerUnavailable(address=door.address, reason="answers vectors of several lengths")
    return np.stack([found[place] for place in range(len(texts))])
