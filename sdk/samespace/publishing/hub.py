"""A push to a hub: one commit, read back byte by byte before anything is called verified.

A listing only says what the hub means to have. So every file is fetched at the commit, and its sha256 compared with
that of the file here, taken before the upload.

What it leaves to others: what may leave (`contents`), the wire and its retries (huggingface_hub). What it gives up: a
push of several commits, and pull requests.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..artifact.layout import file_digest
from ..errors import ConfigInvalid, PushFailed
from .contents import Contents, identity_of, stage

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN: Final = "HF_TOKEN"
ENDPOINT: Final = "HF_ENDPOINT"
MAIN: Final = "main"
_HARMLESS: Final = (".gitattributes", "LICENSE*", "NOTICE*", "*.md", "*.png", "*.svg")
"""Files of a repository that no loader takes for a part of the model."""
_SHOWN: Final = 6
_STATUS: Final = {
    401: f"the hub does not know the token in {TOKEN}; make one that may write",
    402: "the account has no room or no plan for it",
    403: f"the token in {TOKEN} may not write there, or the account has no room",
    404: "there is no such owner, repository or branch, or the token may not see it",
    409: "somebody else is writing there; look, and push again",
    412: "somebody else committed meanwhile; look, and push again",
    413: "a file is larger than the hub takes",
    429: "the hub takes no more requests for now; push again later",
    507: "the hub has no room for it",
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to.

    Attributes:
        repository: OWNER/NAME.
        token: of the hub; never shown.
        endpoint: address of the hub; "" for the public one.
        revision: branch.
        public: whether anybody may read it.
        message: of the commit.
        replace: remove files of the repository that are not pushed, and that a loader could take.
    """

    repository: str
    token: str
    endpoint: str = ""
    revision: str = MAIN
    public: bool = False
    message: str = "Push by samespace"
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was read back.

    Attributes:
        commit: where it was read.
        digests: path -> sha256 of what the hub gave.
        private: whether the hub calls the repository private.
        beside: other files of that commit.
        identity: space or reranker, and its id.
    """

    commit: str
    digests: Mapping[str, str]
    private: bool
    beside: tuple[str, ...]
    identity: str = ""


def target(repository: str, environment: Mapping[str, str], **settings: Any) -> Destination:
    """The target, with token and endpoint out of *environment*.

    Raises:
        ConfigInvalid: the name is none, or there is no token.
    """
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name or repository != repository.strip():
        raise ConfigInvalid(key="to", reason=f"{repository!r} is no OWNER/NAME")
    token = environment.get(TOKEN, "").strip()
    if not token:
        raise ConfigInvalid(key=TOKEN, reason="is not set; put a token of the hub that may write into it")
    return Destination(repository, token, environment.get(ENDPOINT, "").rstrip("/"), **settings)


def push(contents: Contents, to: Destination, say: Say = lambda _: None) -> Pushed:
    """Write *contents* to the hub as one commit, and read it back.

    Raises:
        ModelUnsupported: what may leave of a model folder is another encoder, or none.
        PushFailed: the hub refused, the connection ended, or what was read back is not what is here. It says what of
            the push is there.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=to.endpoint or None, token=to.token)
    with tempfile.TemporaryDirectory(prefix="samespace-push-") as work:
        staged = stage(contents, Path(work) / "files")
        identity = identity_of(contents, staged)
        digests = {name: file_digest(staged / name) for name in contents.files}
        before = _prepared(api, to, tuple(contents.files), say)
        say(f"Uploading {len(digests)} files to {to.repository}.")
        commit = _uploaded(api, to, staged, before)
        say("Reading them back.")
        return replace(_read_back(api, to, commit, digests, Path(work) / "back"), identity=identity)


@dataclass(frozen=True, slots=True)
class _Before:
    """The branch before the push: its commit, and the files that have to go."""

    commit: str
    stale: tuple[str, ...]


def _prepared(api: HfApi, to: Destination, names: tuple[str, ...], say: Say) -> _Before:
    """The repository and the branch, made where they are not there yet.

    Raises:
        PushFailed: it is public and should not be, or holds files that a loader could take.
    """
    nothing = "nothing was sent"
    with _named(to, nothing):
        api.create_repo(to.repository, private=not to.public, exist_ok=True)
        if to.revision != MAIN:
            api.create_branch(to.repository, branch=to.revision, exist_ok=True)
        info = api.model_info(to.repository, revision=to.revision)
    if not to.public and info.private is not True:
        raise PushFailed(to=to.repository, reason="is there already, and is not private", state=nothing,
                         remedy="make it private, or pass --public")  # fmt: skip
    there = [each.rfilename for each in info.siblings or ()]
    stale = tuple(name for name in there if name not in names and not _harmless(name))
    if stale and not to.replace:
        raise PushFailed(
            to=to.repository, state=nothing,
            reason=f"holds {_few(stale)}, which are not of this push, and which a loader could take",
            remedy="push to another repository or branch, or pass --replace to remove them",
        )  # fmt: skip
    if stale:
        say(f"Removing {_few(stale)} in the same commit.")
    return _Before(info.sha or "", stale)


def _uploaded(api: HfApi, to: Destination, staged: Path, before: _Before) -> str:
    """The commit's id."""
    try:
        with _named(to, ""):
            info = api.upload_folder(
                repo_id=to.repository, folder_path=staged, revision=to.revision, commit_message=to.message,
                parent_commit=before.commit or None, delete_patterns=[_literal(name) for name in before.stale] or None,
            )  # fmt: skip
    except PushFailed as error:
        raise PushFailed(
            to=to.repository, reason=error.reason, state=_state(api, to, before.commit), remedy=error.remedy
        ) from error.__cause__
    except KeyboardInterrupt as error:
        raise PushFailed(
            to=to.repository, reason="interrupted", state=_state(api, to, before.commit), remedy="push again"
        ) from error
    return str(info.oid)


def _state(api: HfApi, to: Destination, before: str) -> str:
    """What a push that failed has left: asked, not guessed."""
    try:
        with _named(to, ""):
            now = api.model_info(to.repository, revision=to.revision, timeout=10).sha or ""
    except PushFailed:
        return "whether anything was committed is not known"
    if now == before:
        return "nothing was committed: the branch is where it was"
    return f"the branch moved from {before[:12] or 'nothing'} to {now[:12]}, by this push or by somebody else"


def _read_back(api: HfApi, to: Destination, commit: str, digests: Mapping[str, str], folder: Path) -> Pushed:
    """Every file as the hub gives it at *commit*.

    Raises:
        PushFailed: one is missing or other bytes, or the branch is not at *commit*.
    """
    committed = f"commit {commit[:12]} is there, and is not verified"
    with _named(to, committed):
        info = api.model_info(to.repository, revision=commit)
        there = {each.rfilename for each in info.siblings or ()}
        wrong = {name: "is missing" for name in digests if name not in there}
        found = {}
        for name in sorted(set(digests) & there):
            path = api.hf_hub_download(to.repository, name, revision=commit, local_dir=folder, force_download=True)
            found[name] = file_digest(Path(path))
            Path(path).unlink()
            if found[name] != digests[name]:
                wrong[name] = f"has sha256 {found[name][:12]}, here it is {digests[name][:12]}"
        head = api.model_info(to.repository, revision=to.revision)
    if wrong:
        told = "; ".join(f"{name} {reason}" for name, reason in sorted(wrong.items())[:_SHOWN])
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise PushFailed(to=to.repository, reason=f"{told}{more}", state=committed, remedy="push again")
    if head.sha != commit:
        raise PushFailed(
            to=to.repository, reason=f"{to.revision} is at {str(head.sha)[:12]} already", state=committed,
            remedy="somebody else pushed; look what a reader gets",
        )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    return Pushed(commit, found, bool(head.private), tuple(sorted(there - set(digests) - {".gitattributes"})))


@contextmanager
def _named(to: Destination, state: str) -> Iterator[None]:
    """What goes wrong on the way, as `PushFailed`, without the token."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the client that it brings

    try:
        yield
    except (HTTPError, OSError, RuntimeError, ValueError, LookupError) as error:
        reason, remedy = _reason(error)
        said = reason.replace(to.token, "TOKEN")
        raise PushFailed(to=to.repository, reason=said, state=state, remedy=remedy) from _cause(error, to.token)


def _reason(error: BaseException) -> tuple[str, str]:
    """Why, and what to do: the hub's own sentence where there is one."""
    root: BaseException | None = error
    while root is not None:
        response = getattr(root, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int):
            said = " ".join(str(getattr(root, "server_message", None) or "").split())
            remedy = _STATUS.get(status, "the hub failed; push again" if status >= 500 else "look what the hub says")
            return f"the hub answers {status}{': ' + said if said else ''}", remedy
        root = root.__cause__
    told = " ".join(str(error.__cause__ or error).split())
    return (
        f"{type(error.__cause__ or error).__name__}: {told}",
        "look at the connection and the address, and push again",
    )


def _cause(error: BaseException, token: str) -> BaseException | None:
    """*error*, unless a traceback of it would show the token."""
    return None if token in str(error) or token in str(error.__cause__) else error


def _harmless(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _HARMLESS)


def _literal(name: str) -> str:
    """*name* as a pattern that means it alone."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
