"""What of a folder may leave this machine: what an artifact or a model folder is made of, and nothing else.

The list says what goes, not what stays: texts, caches, journals, checkpoints and reports are left out, because nobody
named them. A report quotes queries and passages. Of run.json go numbers, versions and names; no path, and no text.

What it leaves to others: whether the files are right (`verify_files`, `load_towers`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from ..artifact import manifest as manifests
from ..artifact.certificate import CERTIFICATE
from ..artifact.layout import Artifact, open_artifact, verify_files
from ..errors import ModelUnsupported

CARD: Final = "README.md"
RECORD: Final = "run.json"
_MODULES, _ROUTER, _CONFIG = "modules.json", "router_config.json", "config.json"
_FILES: Final = frozenset({
    CARD, "LICENSE", "LICENSE.txt", "NOTICE", _MODULES, _ROUTER, _CONFIG, "sentence_bert_config.json",
    "config_sentence_transformers.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model",
    "tokenizer.model", "model.safetensors", "model.safetensors.index.json",
})  # fmt: skip
_SHARD: Final = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_OF_RECORD: Final = (
    "config", "base_space_id", "precision", "learning_rate", "temperature", "steps", "epochs", "blend", "scores",
    "comparisons", "better_than_base", "verdict", "training_s", "total_s", "device", "python", "versions",
)  # fmt: skip
_NAMES: Final = ("queries", "judged", "cache")
_SERVERS: Final = ("generator",)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is pushed.

    Attributes:
        kind: of the folder.
        files: path in the repository -> the file, or the bytes that go instead of it.
        left_out: what else is in the folder, folders with a slash at the end.
    """

    kind: Literal["artifact", "model folder"]
    folder: Path
    files: Mapping[str, Path | bytes]
    left_out: tuple[str, ...]


def contents_of(folder: Path) -> Contents:
    """What of *folder* may leave.

    Raises:
        ArtifactError: it is an artifact, and one of its files is not what the manifest says.
        ModelUnsupported: it is neither an artifact nor a model folder, or a file of it is a link.
    """
    if (folder / manifests.MANIFEST).exists():
        return _of_artifact(open_artifact(folder, kind="any"))
    if not (folder / _MODULES).is_file() and not (folder / _CONFIG).is_file():
        raise ModelUnsupported(
            model=str(folder),
            reason=f"has no {manifests.MANIFEST}, {_MODULES} or {_CONFIG}",
            remedy="name an artifact or a model folder",
        )
    return _of_model(folder)


def stage(contents: Contents, folder: Path) -> Path:
    """Make *folder* hold what goes, and nothing else; by links, so that no weights are copied."""
    for name, source in contents.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            path.symlink_to(source.resolve())
    return folder


def identity_of(contents: Contents, staged: Path) -> str:
    """What it is, for people: the id of an artifact, or that of the encoder that loads from what goes.

    Raises:
        ModelUnsupported: the files that go are no encoder, or not the one that the whole folder is.
    """
    if contents.kind == "artifact":
        artifact = open_artifact(contents.folder, kind="any")
        return f"{'space' if artifact.manifest.reranker is None else 'reranker'} {artifact.space_id}"
    from ..extras import require_extra

    require_extra("train", feature="pushing a model folder", modules=("torch", "transformers", "sentence_transformers"))
    from ..exporting.provenance import of_another
    from ..model.checkpoint import load_towers

    towers = load_towers(contents.folder)
    whole, sent = (" and ".join(tower.identity.space_id() for tower in each) for each in (towers, load_towers(staged)))
    if whole != sent:
        raise ModelUnsupported(
            model=str(contents.folder),
            reason=f"is space {whole}, and the files that may leave are space {sent}",
            remedy="export it, and push the artifact",
        )
    record = _json(contents.folder / RECORD)
    if isinstance(record, dict) and (problem := of_another(record, towers[0])):
        raise ModelUnsupported(
            model=str(contents.folder),
            reason=f"{RECORD} {problem}",
            remedy=f"remove {RECORD}, and what {CARD} says of scores",
        )
    return f"space {sent}"


def _of_artifact(artifact: Artifact) -> Contents:
    names = [*verify_files(artifact), manifests.MANIFEST]
    names += [f"{part.folder.name}/{manifests.MANIFEST}" for part in artifact.parts]
    names += [CERTIFICATE] * (artifact.folder / CERTIFICATE).is_file()
    folders = {part.folder.name for part in artifact.parts}
    files: dict[str, Path | bytes] = {name: artifact.folder / name for name in sorted(names)}
    return Contents("artifact", artifact.folder, files, _left_out(artifact.folder, files, folders))


def _of_model(folder: Path) -> Contents:
    folders = _module_folders(folder)
    files: dict[str, Path | bytes] = {}
    for place in ("", *sorted(folders)):
        for path in sorted((folder / place).iterdir()):
            if path.name not in _FILES and not _SHARD.fullmatch(path.name):
                continue
            if path.is_symlink() or not path.is_file():
                raise ModelUnsupported(
                    model=str(folder),
                    reason=f"{path.relative_to(folder)} is no plain file",
                    remedy="push a copy with the files themselves: cp -rL",
                )
            files[path.relative_to(folder).as_posix()] = path
    left_out = _left_out(folder, files, folders)
    if (record := _record(folder / RECORD)) is not None:
        files[RECORD] = record
        left_out = tuple(name for name in left_out if name != RECORD)
    return Contents("model folder", folder, files, left_out)


def _module_folders(folder: Path) -> set[str]:
    """The sub-folders that modules.json and router_config.json name, as far as they are inside."""
    named: list[Any] = []
    for module in _json(folder / _MODULES) or []:
        named.append(module.get("path") if isinstance(module, dict) else None)
    for place in ("", *(each for each in named if isinstance(each, str))):
        router = _json(folder / place / _ROUTER)
        types = router.get("types") if isinstance(router, dict) else None
        named += [str(PurePosixPath(place) / each) for each in types] if isinstance(types, dict) else []
    paths = {PurePosixPath(each) for each in named if isinstance(each, str) and each}
    inside = {path for path in paths if not path.is_absolute() and ".." not in path.parts}
    return {str(path) for path in inside if _plain_folder(folder, path)}


def _plain_folder(folder: Path, path: PurePosixPath) -> bool:
    """Whether no part of the way is a link."""
    places = [folder / Path(*path.parts[: depth + 1]) for depth in range(len(path.parts))]
    return all(place.is_dir() and not place.is_symlink() for place in places)


def _left_out(folder: Path, files: Mapping[str, Any], folders: set[str]) -> tuple[str, ...]:
    left = []
    for place in ("", *sorted(folders)):
        for path in sorted((folder / place).iterdir()):
            name = path.relative_to(folder).as_posix()
            is_folder = path.is_dir() and not path.is_symlink()
            if name not in files and not (is_folder and any(f"{each}/".startswith(f"{name}/") for each in folders)):
                left.append(f"{name}/" if is_folder else name)
    return tuple(left)


def _record(path: Path) -> bytes | None:
    """run.json without texts and paths; None where there is none that can be read."""
    record = _json(path)
    if not isinstance(record, dict):
        return None
    from ..exporting.provenance import without_paths  # with torch, which an artifact does not need

    kept = without_paths({key: record[key] for key in _OF_RECORD if key in record})
    config = dict(kept.get("config") or {})
    config |= {key: Path(config[key]).name for key in _NAMES if isinstance(config.get(key), str)}
    kept["config"] = {key: value for key, value in config.items() if key not in _SERVERS}
    return (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
