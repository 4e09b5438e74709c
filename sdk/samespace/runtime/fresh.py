"""Texts that are made at verification: nobody who wrote an artifact can have known them.

The shipped probes prove that a machine computes what the artifact's author computed. They do not prove that one build
is another, or that an artifact is another of the same id: a graph can be made for them. Fresh texts are drawn from the
tokenizer's own vocabulary and from sentences, at every verification anew.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from ..artifact.agreement import drawing, nearness, unforeseen_texts
from ..artifact.probes import Distance
from ..embed import embed_roles
from ..errors import ProbesFailed
from ..text import ROLES, Role, TextEncoder
from ..vectors import Float32, cosine_distance
from .composite import LoadedParts
from .load import LoadedBuild
from .session import Session

COUNT: Final = 32
"""How many: a second for a small model, and each text a new one."""
KINDS: Final = 32
"""How many scripts, numbers and signs included, are looked at: all that most vocabularies have."""
FEWEST: Final = 8
"""Scripts of fewer tokens are looked at together."""
OF_A_KIND: Final = 24
_NO_TEXT: Final = "\ufffd"  # what a part of a character is decoded to
LONGEST: Final = 512
"""Words of the one long text at most: what a graph makes of wide inputs is looked at too."""


@dataclass(frozen=True, slots=True)
class FreshTexts:
    """Texts and their roles."""

    texts: tuple[str, ...]
    roles: tuple[Role, ...]


def fresh_texts(encoder: TextEncoder, *, count: int = COUNT, seed: int | None = None) -> FreshTexts:
    """Texts of random tokens of the vocabulary, without special ones.

    *count* of them are of words, one up to the token limit. The others are each of one kind of tokens, of which there
    are up to `KINDS`: a script, numbers, or signs, and no token is too short for them. A build can be right for every
    text of words and wrong for a whole script.

    Args:
        seed: only for tests.
    """
    kinds = _kinds(encoder)
    words = sorted({token for tokens in kinds.values() for token in tokens if len(token) > 1 and token.isalpha()})
    words = words or ["a"]
    most = min(encoder.recipe.token_limit, LONGEST)
    long = " ".join(unforeseen_texts(words, count=most, seed=seed)).split(" ", most)[:most]
    texts = [*unforeseen_texts(words, count=count - 1, seed=seed), " ".join(long)]
    draw = drawing(seed)
    chosen = draw.sample(sorted(kinds), min(len(kinds), KINDS))
    texts += [" ".join(draw.choices(kinds[kind], k=OF_A_KIND)) for kind in chosen]
    texts = list(map(encoder.as_input, texts))
    return FreshTexts(tuple(texts), tuple(ROLES[place % 2] for place in range(len(texts))))


def _kinds(encoder: TextEncoder) -> dict[str, list[str]]:
    """What the tokens of the vocabulary say, without the marks of their place in a word, by script, number or sign."""
    tokenizer = encoder.tokenizer
    special = set(tokenizer.get_added_tokens_decoder())
    ids = sorted(set(tokenizer.get_vocab(with_added_tokens=False).values()) - special)
    kinds: dict[str, list[str]] = {}
    for said in tokenizer.decode_batch([[each] for each in ids], skip_special_tokens=False):
        token = said.strip("#▁Ġ \n\t")
        if token and token.isprintable() and _NO_TEXT not in token:
            kinds.setdefault(_kind(token[0]), []).append(token)
    rare = [kind for kind, tokens in kinds.items() if len(tokens) < FEWEST]
    others = [token for kind in rare for token in kinds.pop(kind)]
    return kinds | ({"OTHER": others} if others else {})


def _kind(character: str) -> str:
    if character.isdigit():
        return "NUMBER"
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else "SIGN"


def fresh_vectors(session: Session, encoder: TextEncoder, fresh: FreshTexts, dims: int) -> Float32:
    """What *session* makes of them, (texts, dims)."""
    return embed_roles(session, encoder, fresh.texts, fresh.roles, dims=dims)


_FP32: Final = "on texts that were made for this check, its vectors are not those of the fp32 build"
_OTHER: Final = "its vectors are not those of the other artifact of this space id"


def require_near(
    found: Float32,
    wanted: Float32,
    *,
    bound: float,
    build: str,
    runtime: str,
    what: str = _FP32,
    distance: Distance = cosine_distance,
) -> float:
    """The worst 1 - cos between two builds on the same texts; *what* is said where they differ.

    Raises:
        ProbesFailed: their mean is above *bound*, or one text is above a few bounds.
    """
    near = nearness(found, wanted, bound=bound, distance=distance)
    if not near.holds:
        raise ProbesFailed(build=build, runtime=runtime, worst=near.worst, bound=near.most, cause=what)
    return near.worst


def require_same_space(former: LoadedBuild, new: LoadedBuild) -> float:
    """The worst 1 - cos between two loaded artifacts of one space id, over both their probes and fresh texts.

    Raises:
        ProbesFailed: they disagree by more than their builds may, whatever their ids say.
    """
    if former.artifact.space_id != new.artifact.space_id:
        raise ValueError("two spaces")  # the caller compares ids first
    dims = new.artifact.manifest.identity.dims
    bound = former.bound + new.bound
    fresh = fresh_texts(new.text_encoder)
    worst, distance = 0.0, new.artifact.manifest.encoder.distance
    probes = [FreshTexts(each.texts, each.roles) for each in (former.artifact.probes(), new.artifact.probes())]
    for texts in (*probes, fresh):
        one, other = (fresh_vectors(each.session, each.text_encoder, texts, dims) for each in (former, new))
        near = require_near(
            other, one, bound=bound, build=new.build_name, runtime=new.runtime, what=_OTHER, distance=distance
        )
        worst = max(worst, near)
    return worst


def require_same_spaces(former: LoadedBuild | LoadedParts, new: LoadedBuild | LoadedParts) -> None:
    """`require_same_space` of encoders, or of the parts of two composites one by one."""
    pairs = [(each,) if isinstance(each, LoadedBuild) else each.parts for each in (former, new)]
    for one, other in zip(*pairs, strict=True):
        require_same_space(one, other)
