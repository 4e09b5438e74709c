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
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from samespace.errors import PinBroken, SpaceMismatch, short

from .routes import address_of, is_open, openness
from .spec import BRIDGE_KEY, LONG_TEXT_FORMS, LONG_TEXTS_KEY, MODULE, SPACE_KEY, LongTextForm, shown, vector_name
from .unpinned import unpinned_vectors

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
        url_space: full id or a prefix of it, from the end of `inferenceUrl`; "" where it names none.
        key_space: full id, from the extra key; "" where there is none.
    """

    vector: str
    module: str
    settings: Mapping[str, Any]
    name_space: str
    url_space: str
    key_space: str

    @property
    def url(self) -> str:
        """`inferenceUrl`, or the address of another module; "" where there is none."""
        return address_of(self.settings)

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
    """The named vectors of *schema* that are named after a space, sorted by name."""
    pins = []
    for name, config in sorted((schema.get("vectorConfig") or {}).items()):
        match = _PIN_NAME.fullmatch(name)
        if match is None:
            continue
        vectorizer: Mapping[str, Any] = config.get("vectorizer") or {"none": {}}
        module = next(iter(vectorizer), "none")
        settings = vectorizer.get(module) or {}
        url = address_of(settings)
        in_url = _URL_SPACE.search(url)
        pins.append(
            Pin(
                vector=name,
                module=module,
                settings=settings,
                name_space=match[1],
                url_space=in_url[1] if in_url else "",
                key_space=str(settings.get(SPACE_KEY) or ""),
            )
        )
    return tuple(pins)


def find_pin(schema: Mapping[str, Any], space_id: str) -> Pin | None:
    """The vector of *schema* that is named after *space_id*, whatever else it says."""
    return next((pin for pin in read_pins(schema) if pin.vector == vector_name(space_id)), None)


def check_pin(schema: Mapping[str, Any], space_id: str | None = None) -> PinCheck:
    """Judge the pin of *schema*; against *space_id* where it is given, else against itself."""
    name, pins = str(schema.get("class", "?")), read_pins(schema)
    if not pins:
        wanted = f"; expected vector {vector_name(space_id)} of space {space_id}" if space_id else ""
        severity = Severity.BROKEN if space_id else Severity.UNSAFE
        have = ", ".join(schema.get("vectorConfig") or ()) or "no named vectors"
        first = Finding(severity, f"no pin: no vector is named after a space (found: {have}){wanted}")
        others = tuple(Finding(Severity.UNSAFE, each) for each in unpinned_vectors(schema, frozenset()))
        return PinCheck(name, "", (first, *others))
    if space_id is not None:
        pin = find_pin(schema, space_id)
        if pin is None:
            have = ", ".join(f"{pin.vector} (space {pin.space})" for pin in pins)
            missing = f"no vector {vector_name(space_id)} of space {space_id}; found: {have}"
            return PinCheck(name, pins[0].space, (Finding(Severity.BROKEN, missing),))
        pins = (pin,)
    findings = [finding for pin in pins for finding in _judge(pin, space_id)]
    named = frozenset(pin.vector for pin in read_pins(schema))
    findings += [Finding(Severity.UNSAFE, each) for each in unpinned_vectors(schema, named)]
    if not any(pin.space and short(pin.space) in str(schema.get("description") or "") for pin in pins):
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
            "to be put right or imported anew, one without a pin gets it with `samespace weaviate migrate`, which "
            "encodes its objects again, or beside what it has with `samespace weaviate create`",
        )
    return pin


def _judge(pin: Pin, space_id: str | None) -> list[Finding]:
    found: list[Finding] = []
    space = space_id or pin.space

    def add(severity: Severity, message: str) -> None:
        found.append(Finding(severity, f"{pin.vector}: {message}"))

    if pin.key_space and not _same(pin.key_space, space):
        add(Severity.BROKEN, f"{SPACE_KEY} is {pin.key_space}, the vector is named after space {space}")
    if pin.url_space and not _same(pin.url_space, space):
        add(
            Severity.BROKEN,
            f"the address {pin.shown_url} names space {pin.url_space}, the vector is named after {space}",
        )
    form = pin.settings.get(LONG_TEXTS_KEY)
    if form is not None and form not in LONG_TEXT_FORMS:
        add(Severity.BROKEN, f"{LONG_TEXTS_KEY} is {form!r}; expected one of {', '.join(LONG_TEXT_FORMS)}")
    if pin.module == "none":
        if not pin.key_space:
            add(Severity.DRIFT, f"{SPACE_KEY} is missing: only the vector's name tells the space")
        add(Severity.FINE, "no vectorizer: queries are encoded by clients")
        if bridge := pin.settings.get(BRIDGE_KEY):
            add(Severity.DRIFT, f"approximate: a bridge ({bridge}), not an encoder, made these vectors; see `migrate`")
    else:
        found.extend(Finding(level, f"{pin.vector}: {message}") for level, message in _judge_vectorizer(pin))
    if max((finding.severity for finding in found), default=Severity.FINE) < Severity.UNSAFE:
        add(Severity.FINE, f"pinned to space {space}")
    return found


def _judge_vectorizer(pin: Pin) -> list[tuple[Severity, str]]:
    found: list[tuple[Severity, str]] = []
    if not pin.url:
        found.append((Severity.UNSAFE, "no inferenceUrl: the encoder is whatever Weaviate's environment names"))
    elif not pin.url_space and is_open(pin.module):
        found.append((Severity.BROKEN, f"the address {pin.shown_url} names no space: it was changed since the pin"))
    elif not pin.url_space:
        found.append(
            (Severity.UNSAFE, f"inferenceUrl {pin.shown_url} names no space, so its server cannot refuse another")
        )
    if not pin.key_space:
        found.append((Severity.DRIFT, f"{SPACE_KEY} is missing: the full id is not in the settings"))
    if is_open(pin.module):
        model = str(pin.settings.get("model") or "")
        if model and not _same(model, pin.space):
            found.append((Severity.BROKEN, f"model is {model}, expected {pin.space}: it was changed since the pin"))
        found.append((Severity.UNSAFE, f"vectorizer {pin.module}: {openness(pin.module)}"))
    elif pin.module != MODULE:
        found.append((Severity.DRIFT, f"vectorizer {pin.module}, expected {MODULE}"))
    sources = pin.settings.get("properties") or ()
    if len(sources) != 1:
        listed = ", ".join(sources) or "every text property"
        found.append((Severity.UNSAFE, f"encodes {listed}; expected one source property"))
    if pin.settings.get("vectorizeClassName", True):
        found.append((Severity.UNSAFE, "vectorizeClassName is on: the collection's name is put before each text"))
    return found


def _same(found: str, space: str) -> bool:
    """Whether two ids, one of them perhaps a prefix, can be of the same space."""
    length = min(len(found), len(space))
    return found[:length] == space[:length]


def _agrees(found: str, pin: Pin) -> bool:
    return bool(found) and _same(found, pin.name_space)
