"""What a schema says about its space, and whether it can be relied on.

`read_pins` reads, `check_pin` judges. Each finding is one of

    fine     as it should be
    drift    harmless, but not what samespace would write
    unsafe   nothing is mixed yet, and nothing prevents it
    broken   queries or writes go to another space now, or to nobody, or there is no vector of the wanted space

Schemas are plain dicts, as REST gives them or as weaviate-client's `to_dict` does. What it leaves to others: whether
the stored *vectors* are of the space that the schema names. No schema can say that; re-encoding a sample can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from samespace.errors import PinBroken, SpaceMismatch, short

from .adopted import adoptions
from .routes import (
    USES,
    Use,
    address_key,
    address_of,
    environment_of,
    ignored_addresses,
    is_known,
    is_open,
    openness,
    vectorizer_of,
)
from .spec import (
    BRIDGE_KEY,
    GUARD_VECTOR,
    LONG_TEXT_FORMS,
    LONG_TEXTS_KEY,
    MODULE,
    RECIPE_KEY,
    SPACE_KEY,
    LongTextForm,
    shown,
    vector_name,
)
from .unpinned import has_unnamed_vector, unpinned_vectors

_PIN_NAME: Final = re.compile(r"e_([0-9a-f]{12})")
_URL_SPACE: Final = re.compile(r"/e/([0-9a-f]{12,64})/?$")


class Severity(IntEnum):
    """How bad a finding is; comparable."""

    FINE = 0
    DRIFT = 1
    UNSAFE = 2
    BROKEN = 3

    @property
    def word(self) -> str:
        """In lower case, as it is printed."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Pin:
    """What one named vector of a schema says about its space.

    Attributes:
        vector: its name.
        module: the vectorizer; "none" for vectors that only clients bring.
        settings: of the vectorizer, as stored.
        name_space: first 12 hex digits, from the vector's name.
        url_space: full id or a prefix of it, from the end of the address for objects; "" where it names none.
        key_space: full id, from the extra key; "" where there is none.
        recipe: how objects become texts, where that is noted, as `audit.recipes.InputRecipe` has it; {} for what the
            module's settings say.
        adopted: whether a record says the space, and not the vector's name.
        risks: what that leaves open, in sentences.
    """

    vector: str
    module: str
    settings: Mapping[str, Any]
    name_space: str
    url_space: str
    key_space: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    adopted: bool = False
    risks: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where the module sends the texts of objects; "" where its settings name no address that it reads."""
        return self.address("objects")

    def address(self, use: Use) -> str:
        """Where the module sends the texts of *use*; "" where its settings name no address that it reads."""
        return address_of(self.module, self.settings, use)

    @property
    def sources(self) -> tuple[str, ...]:
        """The properties whose text is encoded; () where nothing names them, and the module takes every text."""
        return tuple(map(str, self.recipe.get("properties") or self.settings.get("properties") or ()))

    @property
    def long_texts(self) -> LongTextForm:
        """How long texts are stored; "pool" where nothing is said: what collections did before it was recorded."""
        return next((form for form in LONG_TEXT_FORMS if form == self.settings.get(LONG_TEXTS_KEY)), "pool")

    @property
    def shown_url(self) -> str:
        """The same for people and logs: a user and password in it are left out."""
        return shown(self.url)

    @property
    def space(self) -> str:
        """The fullest id that the pin gives; the parts may disagree, see `check_pin`."""
        return max(
            (self.name_space, self.key_space, self.url_space), key=lambda found: (_agrees(found, self), len(found))
        )


@dataclass(frozen=True, slots=True)
class PinCheck:
    """The findings about one collection."""

    collection: str
    space: str
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Severity:
        """The worst of the findings."""
        return max((finding.severity for finding in self.findings), default=Severity.FINE)


def read_pins(schema: Mapping[str, Any]) -> tuple[Pin, ...]:
    """The named vectors of *schema* that are named after a space, or adopted into one, sorted by name."""
    pins, adopted = [], adoptions(schema)
    for name in sorted(schema.get("vectorConfig") or {}):
        match, record = _PIN_NAME.fullmatch(name), adopted.get(name)
        if match is None and record is None:
            continue
        module, settings = vectorizer_of(schema, name)
        in_url = _URL_SPACE.search(address_of(module, settings))
        pins.append(
            Pin(
                vector=name,
                module=module,
                settings=settings,
                name_space=match[1] if match else short(record.space) if record else "",
                url_space=in_url[1] if in_url else "",
                key_space=str(settings.get(SPACE_KEY) or (record.space if record and not match else "")),
                recipe=record.recipe if record and not match else dict(settings.get(RECIPE_KEY) or {}),
                adopted=match is None,
                risks=tuple(record.risks()) if record and not match else (),
            )
        )
    return tuple(pins)


def find_pin(schema: Mapping[str, Any], space_id: str) -> Pin | None:
    """The vector of *schema* that is named after *space_id*, whatever else it says; else one adopted into it."""
    pins = read_pins(schema)
    named = next((pin for pin in pins if pin.vector == vector_name(space_id)), None)
    return named or next((pin for pin in pins if pin.adopted and pin.key_space == space_id), None)


def check_pin(schema: Mapping[str, Any], space_id: str | None = None) -> PinCheck:
    """Judge the pin of *schema*; against *space_id* where it is given, else against itself."""
    name, pins = str(schema.get("class", "?")), read_pins(schema)
    if not pins:
        wanted = f"; expected vector {vector_name(space_id)} of space {space_id}" if space_id else ""
        severity = Severity.BROKEN if space_id else Severity.UNSAFE
        have = ", ".join(schema.get("vectorConfig") or ()) or "no named vectors"
        adopt = f"; `samespace weaviate adopt {name} --candidate ENCODER` finds out who wrote it"
        first = Finding(severity, f"no pin: no vector is named after a space (found: {have}){wanted}{adopt}")
        others = tuple(Finding(Severity.UNSAFE, each) for each in unpinned_vectors(schema, frozenset()))
        return PinCheck(name, "", (first, *others))
    if space_id is not None:
        pin = find_pin(schema, space_id)
        if pin is None:
            have = ", ".join(f"{pin.vector} (space {pin.space})" for pin in pins)
            missing = f"no vector {vector_name(space_id)} of space {space_id}; found: {have}"
            return PinCheck(name, pins[0].space, (Finding(Severity.BROKEN, missing),))
        pins = (pin,)
    findings = [finding for pin in pins for finding in (*_judge(pin, space_id), *_judge_collection(pin, schema))]
    named = frozenset(pin.vector for pin in read_pins(schema))
    findings += [Finding(Severity.UNSAFE, each) for each in unpinned_vectors(schema, named)]
    findings += [] if has_unnamed_vector(schema) else [_judge_guard(schema)]
    told = str(schema.get("description") or "")
    if not any(pin.adopted or (pin.space and short(pin.space) in told) for pin in pins):
        findings.append(Finding(Severity.DRIFT, "the description does not name the space"))
    return PinCheck(name, space_id or pins[0].space, tuple(findings))


def require_pin(schema: Mapping[str, Any], space_id: str) -> Pin:
    """The pin of *schema*, if it holds for *space_id*.

    Raises:
        SpaceMismatch: the collection is pinned to another space.
        PinBroken: it is pinned to none, or the parts of the pin disagree.
    """
    name, pins = str(schema.get("class", "?")), read_pins(schema)
    pin = find_pin(schema, space_id)
    if pin is None and pins:
        raise SpaceMismatch(expected=" or ".join(pin.space for pin in pins), found=space_id, where=f"collection {name}")
    broken = [f.message for f in check_pin(schema, space_id).findings if f.severity is Severity.BROKEN]
    if pin is None or broken:
        have = ", ".join(schema.get("vectorConfig") or ())
        raise PinBroken(
            collection=name,
            expected=f"vector {vector_name(space_id)} of space {space_id}",
            found="; ".join(broken) if pin else f"no pin (vectors: {have or 'none named'})",
            remedy=f"nothing was sent. See `samespace weaviate check {name}`; a collection whose pin was changed has "
            "to be put right or imported again. One without a pin gets it with its vectors as they are: in place with "
            f"`samespace weaviate adopt {name} --candidate ENCODER`, in a copy with `samespace weaviate move {name} "
            f"--alias {name}Alias --encoder ENCODER --server http://HOST:PORT`; with new ones by `samespace weaviate "
            "migrate`, and beside what it has by `samespace weaviate create`",
        )
    return pin


def _judge(pin: Pin, space_id: str | None) -> list[Finding]:
    found: list[Finding] = []
    space = space_id or pin.space

    def add(severity: Severity, message: str) -> None:
        found.append(Finding(severity, f"{pin.vector}: {message}"))

    if pin.key_space and not _same(pin.key_space, space):
        add(Severity.BROKEN, f"{SPACE_KEY} is {pin.key_space}, the vector is named after space {space}")
    form = pin.settings.get(LONG_TEXTS_KEY)
    if form is not None and form not in LONG_TEXT_FORMS:
        add(Severity.BROKEN, f"{LONG_TEXTS_KEY} is {form!r}; expected one of {', '.join(LONG_TEXT_FORMS)}")
    for each in pin.risks:
        add(Severity.UNSAFE, each)
    if pin.module == "none":
        if not pin.key_space:
            add(Severity.DRIFT, f"{SPACE_KEY} is missing: only the vector's name tells the space")
        add(Severity.FINE, "no vectorizer: queries are encoded by clients")
        if bridge := pin.settings.get(BRIDGE_KEY):
            add(Severity.DRIFT, f"approximate: a bridge ({bridge}), not an encoder, made these vectors; see `migrate`")
    else:
        found.extend(Finding(level, f"{pin.vector}: {message}") for level, message in _judge_vectorizer(pin, space))
    if max((finding.severity for finding in found), default=Severity.FINE) < Severity.UNSAFE:
        add(Severity.FINE, f"pinned to space {space}")
    return found


def _judge_vectorizer(pin: Pin, space: str) -> list[tuple[Severity, str]]:
    found = _judge_addresses(pin, space)
    if not pin.key_space:
        found.append((Severity.DRIFT, f"{SPACE_KEY} is missing: the full id is not in the settings"))
    if is_open(pin.module):
        model = str(pin.settings.get("model") or "")
        if model and not _same(model, pin.space):
            found.append((Severity.BROKEN, f"model is {model}, expected {pin.space}: it was changed since the pin"))
        found.append((Severity.UNSAFE, f"vectorizer {pin.module}: {openness(pin.module)}"))
    elif not is_known(pin.module):
        found.append((Severity.UNSAFE, f"vectorizer {pin.module}: where it sends texts is not known; use {MODULE}"))
    elif pin.module != MODULE:
        found.append((Severity.DRIFT, f"vectorizer {pin.module}, expected {MODULE}"))
    sources = pin.settings.get("properties") or ()
    if len(sources) != 1:
        listed = ", ".join(sources) or "every text property"
        found.append((Severity.UNSAFE, f"encodes {listed}; expected one source property"))
    if pin.settings.get("vectorizeClassName", True):
        found.append((Severity.UNSAFE, "vectorizeClassName is on: the collection's name is put before each text"))
    return found


def _judge_addresses(pin: Pin, space: str) -> list[tuple[Severity, str]]:
    """Where objects and queries are encoded, each by the setting that the module reads for it."""
    found: list[tuple[Severity, str]] = []
    same = pin.address("objects") == pin.address("queries")
    for use in USES[:1] if same else USES:
        whom = "objects and queries" if same else use
        key, url = address_key(pin.module, pin.settings, use), shown(pin.address(use))
        in_url = _URL_SPACE.search(pin.address(use))
        if in_url and not _same(in_url[1], space):
            found.append(
                (
                    Severity.BROKEN,
                    f"{whom} are encoded at {url} ({key}), which names space {in_url[1]}; the vector is of {space}",
                )
            )
        elif url and not in_url and is_open(pin.module):
            found.append((Severity.BROKEN, f"the address {url} names no space: it was changed since the pin"))
        elif url and not in_url:
            found.append(
                (
                    Severity.UNSAFE,
                    f"{whom} are encoded at {url} ({key}), which names no space, so its server cannot reject another",
                )
            )
        elif not url and is_known(pin.module):
            by = f"what {environment_of(pin.module)} says on each node" if environment_of(pin.module) else "a provider"
            found.append((Severity.UNSAFE, f"no {key}: {whom} are encoded by {by} (Weaviate's environment)"))
    if not same and not any(level is Severity.BROKEN for level, _ in found):
        told = ", ".join(f"{use} at {shown(pin.address(use)) or 'no address'}" for use in USES)
        found.append((Severity.DRIFT, f"two addresses: {told}"))
    for key, value in ignored_addresses(pin.module, pin.settings).items():
        # Weaviate writes cohere's baseUrl by itself, with the provider's address.
        if value != pin.url and key != "baseUrl":
            found.append((Severity.DRIFT, f"{key} is {shown(value)}, but {pin.module} does not read it"))
    return found


_ORDER_KEPT: Final = frozenset({"dot", "l2-squared"})
"""Distances by which unit vectors are in the same order as by cosine."""


def _judge_collection(pin: Pin, schema: Mapping[str, Any]) -> list[Finding]:
    """What the collection around the vector does to its texts and its order of results."""
    found: list[Finding] = []

    def add(severity: Severity, message: str) -> None:
        found.append(Finding(severity, f"{pin.vector}: {message}"))

    properties = {str(entry["name"]): entry for entry in schema.get("properties") or ()}
    for name in pin.settings.get("properties") or ():
        entry = properties.get(name)
        if entry is None:
            add(Severity.BROKEN, f"its source property {name} does not exist; there are: {', '.join(properties)}")
            continue
        if ((entry.get("moduleConfig") or {}).get(pin.module) or {}).get("vectorizePropertyName"):
            add(
                Severity.UNSAFE,
                f"property {name} has vectorizePropertyName on: Weaviate encodes '{name} ' and the text; migrate to a "
                "collection without it",
            )
        if entry.get("dataType") == ["text"] and not _searchable_by_word(entry):
            add(Severity.DRIFT, f"property {name} is not indexed by word: keyword and hybrid searches miss its words")
    config = (schema.get("vectorConfig") or {}).get(pin.vector, {})
    index = config.get("vectorIndexConfig") or {}
    if config.get("vectorIndexType") == "none" or any(half.get("skip") for half in _halves(index)):
        add(Severity.BROKEN, "it has no index (skip, or dropped): every search by vector or text fails; migrate")
    for distance in _distances(index):
        if distance != "cosine":
            changes = "the same order for unit vectors" if distance in _ORDER_KEPT else "another order of results"
            level = Severity.DRIFT if distance in _ORDER_KEPT else Severity.UNSAFE
            add(level, f"the index's distance is {distance}, expected cosine: {changes}")
    return found


def _searchable_by_word(entry: Mapping[str, Any]) -> bool:
    return entry.get("indexSearchable") is not False and entry.get("tokenization", "word") != "field"


def _halves(index: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An index's settings, and those of its halves where it is dynamic."""
    return [index, *(index[kind] for kind in ("hnsw", "flat") if isinstance(index.get(kind), Mapping))]


def _distances(index: Mapping[str, Any]) -> list[str]:
    """The distances of an index and of its halves; REST says "distance", weaviate-client "distanceMetric"."""
    told = [str(half.get("distance") or half.get("distanceMetric") or "") for half in _halves(index)]
    return sorted({each for each in told if each})


def _judge_guard(schema: Mapping[str, Any]) -> Finding:
    """Whether Weaviate rejects vectors and queries that name no vector."""
    vectors = tuple(schema.get("vectorConfig") or ())
    if GUARD_VECTOR in vectors:
        return Finding(Severity.FINE, f"guarded by {GUARD_VECTOR}: vectors and queries without a name are rejected")
    if len(vectors) > 1:
        return Finding(Severity.FINE, "several named vectors: vectors and queries without a name are rejected")
    return Finding(
        Severity.UNSAFE,
        "no guard: Weaviate writes and searches vectors that name no vector into the only one there is, also those of "
        "another encoder; add the guard with `samespace weaviate create` and the options of this collection",
    )


def _same(found: str, space: str) -> bool:
    """Whether two ids, one of them perhaps a prefix, can be of the same space."""
    length = min(len(found), len(space))
    return found[:length] == space[:length]


def _agrees(found: str, pin: Pin) -> bool:
    return bool(found) and _same(found, pin.name_space)
