"""Collections as a file: YAML or JSON, one collection or a list of them, and what to do about it.

    server: http://encoder:8080        # what is said here holds for all collections
    encoder: artifacts/pydoc
    collections:
      - name: Article
      - name: Ticket
        property: body
        also_properties: [subject]

The keys are the options of `samespace weaviate create`. Unknown ones are refused: a misspelt key would otherwise be a
setting that is silently not made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from samespace.artifact import open_artifact
from samespace.errors import ConfigInvalid, PinBroken, RequestInvalid
from samespace.evaluation.json_rows import KeyTwiceError, parsed_json
from samespace.extras import require_extra

from ..access.database import Database
from ..pinning.index import Index
from ..pinning.plan import Plan, plan
from ..pinning.spec import CollectionSpec, collection_name
from .collection import carry_out

_KINDS: Final[dict[str, type]] = {
    "name": str, "encoder": str, "server": str, "property": str, "id_property": str, "also_properties": list,
    "exact_properties": list, "long_texts": str, "route": str, "index": str, "quantizer": str, "multi_tenant": bool,
    "replicas": int, "guard": bool,
}  # fmt: skip
_WORDS: Final = {str: "a text", list: "a list of texts", bool: "true or false", int: "a whole number"}
_FIELDS: Final = {"property": "text_property"}
_HEX: Final = frozenset("0123456789abcdef")

SpaceOf = Callable[[str], tuple[str, str]]
"""From what `encoder` says to (space id, display name)."""


def space_of_artifact(encoder: str) -> tuple[str, str]:
    """The space of an artifact's folder, or a full space id itself.

    Raises:
        ArtifactError: the folder is not an artifact.
    """
    if len(encoder) == 64 and set(encoder) <= _HEX:
        return encoder, ""
    manifest = open_artifact(encoder).manifest
    return manifest.space_id, manifest.name


def read_collections(
    file: Path | str, *, space_of: SpaceOf = space_of_artifact, server: str = ""
) -> tuple[CollectionSpec, ...]:
    """The collections that a file describes.

    Args:
        file: ends in .json, or is YAML; an artifact in it is looked for from the file's folder.
        space_of: resolves `encoder`.
        server: for collections that name none; where the address has a token in it, it is better not in a file.

    Raises:
        ConfigInvalid: the file cannot be read, or a key or value in it is wrong, with its place.
    """
    path = Path(file)
    content = _load(path)
    common = dict(content)
    entries = common.pop("collections", None)
    if entries is None:
        entries, common = [content], {}
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigInvalid(key=f"{path}: collections", reason="expected a list of collections, each with its keys")
    _check_keys(str(path), common)
    several = len(entries) > 1 or "collections" in content
    specs = []
    for number, entry in enumerate(entries):
        where = f"{path}: collections[{number}]" if several else str(path)
        _check_keys(where, entry)
        specs.append(_spec(where, {"server": server, **common, **entry}, path.parent, space_of))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigInvalid(key=f"{path}: name", reason=f"{name} appears twice")
    return tuple(specs)


def plan_all(database: Database, specs: Sequence[CollectionSpec]) -> tuple[Plan, ...]:
    """What has to be done for each of *specs*; reads schemas, changes nothing."""
    return tuple(plan(spec, database.schema(spec.name)) for spec in specs)


def apply(database: Database, specs: Sequence[CollectionSpec]) -> tuple[Plan, ...]:
    """Make or complete the collections of *specs*; doing it twice changes nothing. Gives what was done.

    Raises:
        PinBroken: a collection is there with other settings; nothing was done for any.
        WeaviateError: Weaviate refused; what was done before stays, and doing it again goes on from there.
    """
    todo = plan_all(database, specs)
    conflicts = [f"{spec.name}: {each}" for spec, one in zip(specs, todo, strict=True) for each in one.conflicts]
    if conflicts:
        raise PinBroken(
            collection=", ".join(spec.name for spec, one in zip(specs, todo, strict=True) if one.conflicts),
            expected="other settings",
            found="; ".join(conflicts),
            remedy="nothing was done. Settings of a vector cannot be changed: choose another collection",
        )
    for spec, one in zip(specs, todo, strict=True):
        carry_out(database, spec, one)
    return todo


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(key=str(path), reason=f"cannot be read: {error}") from error
    content: Any
    if path.suffix == ".json":
        try:
            content = parsed_json(text)
        except KeyTwiceError as error:
            raise ConfigInvalid(key=str(path), reason=str(error)) from error
        except json.JSONDecodeError as error:
            raise ConfigInvalid(key=f"{path}, line {error.lineno}", reason=f"is not JSON: {error.msg}") from error
    else:
        content = _yaml(path, text)
    if not isinstance(content, dict):
        raise ConfigInvalid(key=str(path), reason="expected `name`, `encoder`, `server` ..., or a list `collections`")
    return content


def _yaml(path: Path, text: str) -> Any:
    require_extra("weaviate", feature="YAML files", modules=("yaml",))
    import yaml

    try:
        _require_once(path, yaml.compose(text, Loader=yaml.SafeLoader), set())
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigInvalid(key=str(path), reason=f"is not YAML: {' '.join(str(error).split())}") from error


def _require_once(path: Path, node: Any, seen: set[int]) -> None:
    """Refuse a table of YAML that has a key twice: the last one would win."""
    if id(node) in seen or not isinstance(getattr(node, "value", None), list):
        return
    seen.add(id(node))
    keys: set[str] = set()
    for each in node.value:  # a list has nodes, a table pairs of them
        for inner in each if isinstance(each, tuple) else (each,):
            _require_once(path, inner, seen)
        key = each[0].value if isinstance(each, tuple) else None
        if isinstance(key, str) and key in keys:
            line = each[0].start_mark.line + 1
            raise ConfigInvalid(key=f"{path}, line {line}: {key}", reason="is there twice in one table; keep one")
        keys |= {key} if isinstance(key, str) else set()


def _check_keys(where: str, entry: Mapping[str, Any]) -> None:
    for key, value in entry.items():
        if key not in _KINDS:
            close = get_close_matches(str(key), _KINDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_KINDS)}"
            raise ConfigInvalid(key=f"{where}: {key}", reason=f"no such key; {hint}")
        kind = _KINDS[key]
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits or (kind is list and not all(isinstance(each, str) for each in value)):
            raise ConfigInvalid(key=f"{where}: {key}", reason=f"{value!r}; expected {_WORDS[kind]}")


def _spec(where: str, entry: Mapping[str, Any], folder: Path, space_of: SpaceOf) -> CollectionSpec:
    for key in ("name", "encoder"):
        if not entry.get(key):
            raise ConfigInvalid(key=f"{where}: {key}", reason="is missing")
    encoder = str(entry["encoder"])
    beside = folder / encoder
    space_id, encoder_name = space_of(str(beside) if (beside / "manifest.json").is_file() else encoder)
    rest: dict[str, Any] = {
        _FIELDS.get(key, key): tuple(value) if isinstance(value, list) else value
        for key, value in entry.items()
        if key not in ("name", "encoder", "index", "quantizer")
    }
    try:
        index = Index(entry.get("index", "hnsw"), entry.get("quantizer", ""))
        name = collection_name(str(entry["name"]))
        return CollectionSpec(name=name, space_id=space_id, encoder_name=encoder_name, index=index, **rest)
    except RequestInvalid as error:
        raise ConfigInvalid(key=f"{where}: {error.field}", reason=error.reason) from error
