"""Pin a hosted encoder, and see whether it is still the one that was pinned.

Pinning asks for some probes several times, every other time in another order: the mean is kept, and how far answers are
from it is the provider's noise. A check asks once. Where an answer is beyond the bound, all probes are asked for again,
because a provider is many machines and one answer may be off: what stays off is drift, and many answers that are off in
several requests are those of a second model. So an honest provider raises no alarm, and another model, another length
or a changed text path does so in one check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
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
from .door import ProviderDoor
from .manifest import FILE, ProviderManifest
from .wire import REMEDY

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
ROUNDS: Final = 3
"""Times that all probes are asked for where the first answers had one that is off."""
AGAIN: Final = 4
"""Times that a probe which is off is asked for again."""
SECOND_ANSWERS: Final = 5
SECOND_REQUESTS: Final = 3
"""So many answers that are off, in so many requests of `ROUNDS` rounds, are of a second model. An honest provider of
which one answer in 500 is off has as many in one check of half a million."""


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """What a provider gives now, beside what it gave.

    Attributes:
        worst: the largest 1 - cos of any answer; infinite where lengths differ.
        bound: that counts as the same.
        drifted: texts whose answers all were beyond it, or of which one was farther than `FAR`.
        dims: of the vectors that came.
        asked: probes that were sent, repeats included.
        off: answers beyond the bound, of all that came.
        repeated: probes of which an answer was off, so that they had to be asked for again.
        two_kinds: so many answers are off, beside others that are not, that two models answer.
    """

    worst: float
    bound: float
    drifted: tuple[str, ...]
    dims: int
    asked: int
    off: int = 0
    repeated: int = 0
    two_kinds: bool = False

    @property
    def same(self) -> bool:
        """Whether every probe is what it was, and no second model answers."""
        return not self.drifted and not self.two_kinds

    def told(self, manifest: ProviderManifest) -> str:
        """What it gives now, behind "It gives"."""
        if self.dims != manifest.dims:
            return f"vectors of {self.dims} dims, expected {manifest.dims}"
        allowed = f"1 - cos up to {self.worst:.1e}, allowed {self.bound:.1e}"
        if self.two_kinds:
            return f"answers of two kinds, as two models would: {self.off} of {self.asked} are others, {allowed}"
        return f"other vectors for {len(self.drifted)} of {len(manifest.texts)} probes, {allowed}"


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
        RequestInvalid: too few repeats, or the provider gives another length than was asked for.
        ServerUnavailable: it stayed away, gives vectors of several lengths, answers as several models would, or is no
            encoder: other texts have the same vector, or a text's vector depends on its place in the request.
    """
    if repeats < 2:
        raise RequestInvalid(field="repeats", reason=f"{repeats}; expected 2 or more, or the noise is not seen")
    roles: tuple[Role, ...] = tuple(ROLES[place % len(ROLES)] for place in range(len(PROBES)))
    answers = []
    for number in range(repeats):
        answers.append(_ask(door, PROBES, roles, shifted=number % 2))
        progress(len(PROBES))
    if len({each.shape for each in answers}) > 1:
        raise _refused(door, "answers vectors of several lengths")
    stacked = np.stack(answers)
    if door.dims and stacked.shape[2] != door.dims:
        raise RequestInvalid(
            field="--dims", reason=f"{door.dims}; {door.address} gives {stacked.shape[2]} for it: leave it out"
        )
    mean = normalise(stacked.mean(axis=0, dtype=np.float64).astype(np.float32))
    noise = max(float(cosine_distance(each, mean).max()) for each in stacked)
    _require_encoder(door, stacked, mean, noise)
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
    """Ask for the probes; for all of them again where one is off, and once more for those that stay off.

    Raises:
        ServerUnavailable: it stayed away.
    """
    count = len(manifest.texts)
    request_of = np.empty(count, dtype=np.int64)
    for number, (_, places) in enumerate(_requests(manifest.roles)):
        request_of[places] = number
    nearest, worst = np.full(count, np.inf), 0.0
    left, foreign, repeated = list(range(count)), set[int](), set[int]()
    asked = off = requests = 0
    for number in range(1 + AGAIN):
        some = list(range(count)) if number < ROUNDS else left
        rows = _ask(door, [manifest.texts[i] for i in some], [manifest.roles[i] for i in some])
        asked += len(some)
        if rows.shape[1] != manifest.dims:
            return ProviderCheck(float("inf"), manifest.bound, manifest.texts, int(rows.shape[1]), asked)
        distances = cosine_distance(rows, manifest.vectors[some])
        nearest[some] = np.minimum(nearest[some], distances)
        worst = max(worst, float(distances.max()))
        beyond = [place for place, far in zip(some, distances, strict=True) if far > manifest.bound]
        foreign |= {place for place, far in zip(some, distances, strict=True) if far > FAR}
        repeated |= set(beyond)
        off += len(beyond)
        requests += len(set(request_of[beyond])) if number < ROUNDS else 0
        left = [place for place in range(count) if nearest[place] > manifest.bound]
        if not repeated or (number + 1 >= ROUNDS and not left):
            break
    drifted = tuple(manifest.texts[place] for place in sorted({*left, *foreign}))
    two_kinds = off >= SECOND_ANSWERS and requests >= SECOND_REQUESTS and 2 * len(left) < count
    return ProviderCheck(worst, manifest.bound, drifted, manifest.dims, asked, off, len(repeated), two_kinds)


def _require_encoder(door: ProviderDoor, stacked: Float32, mean: Float32, noise: float) -> None:
    """Raise `ServerUnavailable` for (repeats, probes, dims) answers that no single encoder would give."""
    if noise > MOST_NOISE:
        # Repeats of one order agree with each other where it is the order that counts.
        alike = [each for each in (stacked[::2], stacked[1::2]) if len(each) > 1]
        if alike and all(cosine_distance(row, each[0]).max() <= MOST_NOISE for each in alike for row in each[1:]):
            raise _refused(door, "answers that depend on a text's place in the request, which no encoder's do")
        raise _refused(
            door,
            f"answers to the same text differ by up to {noise:.1e} (1 - cos), and {MOST_NOISE:.0e} is allowed",
            "two models seem to answer there (a rolling update, two regions), or a text's vector depends on its place "
            "in the request; nothing was pinned, try later",
        )
    # Texts of other scripts may all be unknown words to an encoder of English.
    plain = [place for place, text in enumerate(PROBES) if text.isascii()]
    rows = mean[plain].astype(np.float64)
    close = np.argwhere(np.triu(1 - rows @ rows.T < MOST_NOISE, k=1))
    if 2 * len(close) == len(plain) * (len(plain) - 1):
        raise _refused(door, "answers the same vector to every text")
    if len(close):
        first, second = (PROBES[plain[place]] for place in close[0])
        raise _refused(door, f"answers the same vector to different texts, such as {first!r} and {second!r}")


def _refused(
    door: ProviderDoor, reason: str, remedy: str = "nothing was pinned: that is no encoder"
) -> ServerUnavailable:
    return ServerUnavailable(address=door.address, reason=reason, remedy=remedy)


def _requests(roles: Sequence[Role], shifted: int = 0) -> Iterator[tuple[Role, list[int]]]:
    """(role, places) of each request, each role in its own; *shifted* moves every text to another place of one."""
    for role in ROLES:
        places = [place for place, each in enumerate(roles) if each == role]
        places = places[shifted:] + places[:shifted]
        for start in range(0, len(places), A_REQUEST):
            yield role, places[start : start + A_REQUEST]


def _ask(door: ProviderDoor, texts: Sequence[str], roles: Sequence[Role], shifted: int = 0) -> Float32:
    """Rows in the order of the texts."""
    found: dict[int, Float32] = {}
    for role, places in _requests(roles, shifted):
        found |= dict(zip(places, door.rows([texts[place] for place in places], role), strict=True))
    if len({row.shape for row in found.values()}) > 1:
        reason = "answers vectors of several lengths"
        raise ServerUnavailable(address=door.address, reason=reason, remedy=REMEDY)
    return np.stack([found[place] for place in range(len(texts))])
