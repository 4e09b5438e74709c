"""What a pinned collection looks like, as the schema that Weaviate's REST interface takes.

The pin is written three times: in the name of the vector (`e_` and the first 12 hex digits; Weaviate refuses every
other name at write and at query, and a name cannot be changed), in the path of `inferenceUrl` (the encoder server
refuses every other space) and in full as an extra key of the vectorizer, for whoever reads the schema. Weaviate keeps
these settings, but not every version keeps them unchangeable: docs/reference/weaviate-facts.md.

Who encodes is the *route*; see `Route`.

One source property, and the collection's name kept out: Weaviate sends exactly the text that was meant.

What becomes of texts beyond the token limit is part of the pin too, because whoever writes or reads the collection has
to know it: see `LongTextForm`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from samespace.errors import RequestInvalid, short

from .index import HNSW, Index

MODULE: Final = "text2vec-transformers"
Route = Literal["transformers", "cohere", "none"]
"""Who encodes what comes without a vector:

transformers  Weaviate's text2vec-transformers, at `inferenceUrl`: one text a request
cohere        Weaviate's text2vec-cohere, at `baseURL`: up to 96 texts a request; any client can redirect it with a
              header (`X-Cohere-Baseurl`), and some versions let the settings be changed; `check` notices the latter
none          nobody: objects bring their vectors, and queries are encoded by clients
"""
ROUTES: Final[dict[Route, str]] = {"transformers": MODULE, "cohere": "text2vec-cohere", "none": "none"}
SPACE_KEY: Final = "samespaceSpace"
"""The vectorizer's extra key that holds the full space id."""
LONG_TEXTS_KEY: Final = "samespaceLongTexts"
"""The vectorizer's extra key that holds the `LongTextForm`."""
RECIPE_KEY: Final = "samespaceRecipe"
"""The extra key of vectors whose objects become texts in another way than by one property's text alone: how."""
BRIDGE_KEY: Final = "samespaceBridge"
"""The extra key of vectors that a bridge made: between which spaces."""

GUARD_VECTOR: Final = "samespace_guard"
"""A second vector that is never filled. Beside it, Weaviate rejects every vector and query that names no vector, which
it would otherwise take for the only one there is, also from an encoder of another space."""

LongTextForm = Literal["windows", "multivector", "pool"]
"""How a text beyond the token limit is stored:

windows      one object a window; its text is a slice of the document, its vector that of the slice
multivector  one object a text with one vector a window; queries are encoded by the SDK, not by Weaviate's module
pool         one object a text with one vector, the mean of its windows'
"""
LONG_TEXT_FORMS: Final[tuple[LongTextForm, ...]] = ("windows", "multivector", "pool")
DOCUMENT_PROPERTY: Final = "documentId"
WINDOW_PROPERTY: Final = "windowNumber"
SPAN_PROPERTIES: Final = ("spanStart", "spanEnd")

_SPACE_ID: Final = re.compile(r"[0-9a-f]{64}")
_USER_INFO: Final = re.compile(r"//[^/@\s]*@")
_COLLECTION: Final = re.compile(r"[A-Z][_0-9A-Za-z]*")
_PROPERTY: Final = re.compile(r"[_a-zA-Z][_0-9A-Za-z]{0,230}")
_RESERVED: Final = frozenset({"id", "vector", "_id", "_additional"})


def vector_name(space_id: str) -> str:
    """The name of the vector that belongs to a space: `e_` and the first 12 hex digits."""
    return f"e_{short(space_id)}"


def collection_name(name: str) -> str:
    """The name as Weaviate stores it: it makes the first letter a capital."""
    return name[:1].upper() + name[1:]


def shown(text: str) -> str:
    """*text* for people and logs: user and password of a URL in it are left out."""
    return _USER_INFO.sub("//***@", text)


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """A collection that is pinned to one space.

    Attributes:
        name: of the collection; the first letter is made a capital, as Weaviate does.
        space_id: full id, 64 hex digits.
        server: HTTP address of the encoder server as *Weaviate* sees it, e.g. "http://encoder:8080"; not used where no
            module encodes.
        text_property: what is encoded; the only source property.
        id_property: holds the id that the passage had in its data set.
        also_properties: further text properties that are stored and not encoded, and searched by their words.
        exact_properties: the same, but compared as a whole: ids and names to filter by.
        encoder_name: for people; goes into the description only.
        long_texts: what becomes of texts beyond the token limit.
        route: who encodes what comes without a vector.
        index: how Weaviate keeps the vectors.
        multi_tenant: objects are kept by tenant, and each tenant is made by the first object that is written for it.
        replicas: copies of every object, each on another node; 0 leaves it to Weaviate's environment.
        guard: whether `GUARD_VECTOR` is made too. Without it, clients that name no vector can write and query vectors
            of any encoder with equal dims.
    """

    name: str
    space_id: str
    server: str = ""
    text_property: str = "text"
    id_property: str = "passageId"
    also_properties: tuple[str, ...] = ()
    exact_properties: tuple[str, ...] = ()
    encoder_name: str = ""
    long_texts: LongTextForm = "windows"
    route: Route = "transformers"
    index: Index = HNSW
    multi_tenant: bool = False
    replicas: int = 0
    guard: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", collection_name(self.name))
        object.__setattr__(self, "server", self.server.rstrip("/"))
        if not _COLLECTION.fullmatch(self.name):
            raise RequestInvalid(field="name", reason=f"{self.name!r}; expected a letter, then letters, digits and _")
        if not _SPACE_ID.fullmatch(self.space_id):
            raise RequestInvalid(
                field="space_id", reason=f"{self.space_id!r}; the schema needs the full id, 64 hex digits"
            )
        if self.route not in ROUTES:
            raise RequestInvalid(field="route", reason=f"{self.route!r}; expected one of {', '.join(ROUTES)}")
        if self.server or self.module != "none":
            _check_server(self.server)
        if self.replicas < 0:
            raise RequestInvalid(field="replicas", reason=f"{self.replicas}; expected 1 or more")
        if self.long_texts not in LONG_TEXT_FORMS:
            expected = ", ".join(LONG_TEXT_FORMS)
            raise RequestInvalid(field="long_texts", reason=f"{self.long_texts!r}; expected one of {expected}")
        if self.long_texts == "multivector" and (self.route == "cohere" or self.index.kind != "hnsw"):
            raise RequestInvalid(field="long_texts", reason="multivector needs index hnsw and no module (route none)")
        names = tuple(entry["name"] for entry in self.properties())
        for name in names:
            if not _PROPERTY.fullmatch(name) or name in _RESERVED:
                raise RequestInvalid(field="properties", reason=f"{name!r} cannot be the name of a property")
        if len({collection_name(name) for name in names}) != len(names):
            raise RequestInvalid(field="properties", reason=f"{', '.join(names)}: a name appears twice")

    @property
    def vector_name(self) -> str:
        """`e_` and the first 12 hex digits of the space id."""
        return vector_name(self.space_id)

    @property
    def inference_url(self) -> str:
        """Where Weaviate sends texts of this collection; it adds `/vectors`."""
        return f"{self.server}/e/{self.space_id}"

    @property
    def module(self) -> str:
        """The vectorizer; none for multi-vectors, of which Weaviate's module can make only one vector a text."""
        return "none" if self.long_texts == "multivector" else ROUTES[self.route]

    @property
    def vectorizer_settings(self) -> dict[str, Any]:
        """The settings of the vectorizer module, as they have to be in the schema."""
        pinned = {"properties": [self.text_property], SPACE_KEY: self.space_id, LONG_TEXTS_KEY: self.long_texts}
        if self.module == "none":
            return pinned
        if self.route == "cohere":
            # The module reads baseURL; baseUrl would otherwise say https://api.cohere.ai to whoever reads the schema.
            where = {"baseURL": self.inference_url, "baseUrl": self.inference_url, "model": self.space_id}
        else:
            where = {"inferenceUrl": self.inference_url}
        return {**where, "vectorizeClassName": False, **pinned}

    @property
    def description(self) -> str:
        """For people who look at the collection: what it is pinned to and who keeps it."""
        encoder = f"encoder {self.encoder_name}, " if self.encoder_name else ""
        return (
            f"Pinned by samespace: vector {self.vector_name} holds vectors of {encoder}space {self.space_id}. "
            "Write and query with that encoder only, and always name the vector. `samespace weaviate check` checks it."
        )

    def warnings(self) -> list[str]:
        """What whoever makes this collection has to know, one sentence each."""
        open_door = [
            "Without the guard, Weaviate takes a vector or query that names none for one of the pinned vector, also "
            "from another encoder with equal dims. Leave --no-guard out unless a client cannot name vectors."
        ]
        found = [] if self.guard else open_door
        if self.route != "cohere" or self.module == "none":
            return found
        return [
            *found,
            "Route cohere has a hole that route transformers has not: any client can send a request to another address "
            "with the header X-Cohere-Baseurl, and on some versions of Weaviate whoever may update collections can "
            "change baseURL and model for good. Nothing prevents it; run `samespace weaviate check` on a schedule.",
        ]

    def properties(self) -> list[dict[str, Any]]:
        """The properties as REST takes them; the id is matched whole, the texts are searchable by word."""
        text = {
            "name": self.text_property,
            "dataType": ["text"],
            "tokenization": "word",
            "description": "The text that is encoded.",
        }
        identity = {
            "name": self.id_property,
            "dataType": ["text"],
            "tokenization": "field",
            "indexSearchable": False,
            "description": "The id that the passage had in its data set.",
        }
        also: list[dict[str, Any]] = [
            {"name": name, "dataType": ["text"], "tokenization": "word"} for name in self.also_properties
        ]
        also += [
            {"name": name, "dataType": ["text"], "tokenization": "field", "indexSearchable": False}
            for name in self.exact_properties
        ]
        return [text, identity, *(_window_properties() if self.long_texts == "windows" else ()), *also]

    def vector_config(self) -> dict[str, Any]:
        """The entry of the named vector."""
        index = self.index.config()
        if self.long_texts == "multivector":
            index["multivector"] = {"enabled": True}
        return {
            "vectorizer": {self.module: self.vectorizer_settings},
            "vectorIndexType": self.index.kind,
            "vectorIndexConfig": index,
        }

    def vectors(self) -> dict[str, Any]:
        """The pinned vector and, where it is wanted, the guard beside it."""
        guard = {GUARD_VECTOR: {"vectorizer": {"none": {}}, "vectorIndexType": "flat"}}
        return {self.vector_name: self.vector_config(), **(guard if self.guard else {})}

    def schema(self) -> dict[str, Any]:
        """What is sent to create the collection."""
        schema: dict[str, Any] = {
            "class": self.name,
            "description": self.description,
            "properties": self.properties(),
            "vectorConfig": self.vectors(),
        }
        if self.multi_tenant:
            schema["multiTenancyConfig"] = {"enabled": True, "autoTenantCreation": True, "autoTenantActivation": True}
        if self.replicas:
            schema["replicationConfig"] = {"factor": self.replicas}
        return schema


def _check_server(server: str) -> None:
    if not server:
        raise RequestInvalid(field="server", reason="is missing: http://HOST:PORT, as Weaviate reaches the encoder")
    url = urlsplit(server)
    if url.scheme not in ("http", "https") or not url.hostname or url.path or url.query:
        raise RequestInvalid(
            field="server", reason=f"{shown(server)!r}; expected http://HOST:PORT, as Weaviate reaches the encoder"
        )


def _window_properties() -> list[dict[str, Any]]:
    """What tells which part of which document an object is."""
    document = {
        "name": DOCUMENT_PROPERTY,
        "dataType": ["text"],
        "tokenization": "field",
        "indexSearchable": False,
        "description": "The id of the document that the text is a part of; group answers by it.",
    }
    meanings = ("Which of the document's windows, from 0.", "First character in the document.", "One past the last.")
    numbers = [
        {"name": name, "dataType": ["int"], "description": meaning}
        for name, meaning in zip((WINDOW_PROPERTY, *SPAN_PROPERTIES), meanings, strict=True)
    ]
    return [document, *numbers]
