"""A push: what leaves, what is read back, and what is said when the hub does not have it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra train")

from click.testing import CliRunner, Result

from fakes.hub import TOKEN, Hub, hub
from samespace.artifact import open_artifact
from samespace.artifact.layout import file_digest
from samespace.cli import cli
from samespace.errors import ConfigInvalid, PushFailed, SamespaceError
from samespace.model.checkpoint import load_checkpoint
from samespace.publishing.contents import contents_of

# huggingface_hub's own PUT gives httpx an argument of an older name.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
SECRET = "what people asked at midnight"
NAME = "acme/encoder"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the stand-in speaks LFS
    with hub() as served:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


@pytest.fixture
def model(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A model folder as a run leaves it, and what may lie in it besides."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "README.md").write_text("# Tiny\n")
    record = {"config": {"data": f"/home/me/{SECRET}/set", "out": "/x/model", "base": "/y/base", "generator": "http://in"},
              "notes": [SECRET], "better_than_base": True, "scores": {}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    for name in ("report.html", "train.jsonl", ".env", "teacher.npz", "token", "1_Pooling/notes.txt", "optimizer.bin",
                 ".model.checkpoints/1.json", "cache/texts.json", "config.json.bak", "pytorch_model.bin"):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(SECRET)
    return folder


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["push", str(folder), "--to", NAME, *options])


def failed(folder: Path, *options: str) -> str:
    """The error of a push that must not succeed."""
    result = run(folder, *options)
    assert isinstance(result.exception, PushFailed), result.output
    assert "verified:" not in result.output
    return str(result.exception)


def test_an_artifact_comes_back_as_it_went(tiny_artifact: Path, stand_in: Hub, tmp_path: Path) -> None:
    """By LFS and by git: a folder of what the hub gives is the same artifact, and its repository is private."""
    result = run(tiny_artifact, "--message", "First")
    assert result.exit_code == 0, result.output
    repository = stand_in.repositories[NAME]
    assert repository.private
    files = repository.branches["main"][-1][1]
    back = tmp_path / "back"
    for name, data in files.items():
        (back / name).parent.mkdir(parents=True, exist_ok=True)
        (back / name).write_bytes(data)
    assert open_artifact(back).space_id == open_artifact(tiny_artifact).space_id
    here = {path.name: file_digest(path) for path in tiny_artifact.iterdir()}
    assert here == {path.name: file_digest(path) for path in back.iterdir() if path.name != ".gitattributes"}
    assert f"pushed, {len(here)} files, verified: {NAME} (private)" in result.output
    assert open_artifact(tiny_artifact).space_id in result.output
    asked = {path for _, path in stand_in.asked}
    assert any("/preupload/" in path for path in asked) and any("objects/batch" in path for path in asked)
    assert len([path for path in asked if "/resolve/" in path]) == len(here)


def test_only_what_a_model_is_made_of_leaves(model: Path, stand_in: Hub, tmp_path: Path) -> None:
    """Whatever else is in the folder stays and is named; the encoder that loads from the hub's files is the same."""
    result = run(model)
    assert result.exit_code == 0, result.output
    files = stand_in.repositories[NAME].branches["main"][-1][1]
    sent = b"".join([*files.values(), *stand_in.stored.values(), *(path.encode() for path in files)])
    assert SECRET.encode() not in sent and b"/home/me" not in sent and b"http://in" not in sent
    assert json.loads(files["run.json"])["better_than_base"] is True
    for name in ("report.html", "train.jsonl", ".env", "teacher.npz", "1_Pooling/notes.txt", ".model.checkpoints/",
                 "cache/", "config.json.bak", "pytorch_model.bin"):  # fmt: skip
        assert name in result.stderr
    back = tmp_path / "back"
    for name, data in files.items():
        (back / name).parent.mkdir(parents=True, exist_ok=True)
        (back / name).write_bytes(data)
    assert load_checkpoint(str(back)).identity.space_id() == load_checkpoint(str(model)).identity.space_id()


def test_the_token_is_never_shown(model: Path, stand_in: Hub, caplog: pytest.LogCaptureFixture) -> None:
    """Not where all is well, not in an error in which the hub repeats it, and not in a library's log."""
    caplog.set_level(logging.DEBUG)
    shown = run(model)
    logged = caplog.text
    stand_in.refusals["/preupload/"] = (403, f"token {TOKEN} has no write access")
    refused = run(model)
    assert "token TOKEN has no write access" in str(refused.exception)
    texts = [shown.output, shown.stderr, str(refused.exception), refused.output, logged]
    assert not [text for text in texts if TOKEN in text]
    assert TOKEN not in repr(refused.exception.__cause__)


@pytest.mark.parametrize("token", ["", " "])
def test_without_a_token_in_the_environment_nothing_is_asked(
    model: Path, stand_in: Hub, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """A token that lies in a file of the user is not taken."""
    monkeypatch.setenv("HF_TOKEN", token)
    result = run(model)
    assert isinstance(result.exception, ConfigInvalid) and "HF_TOKEN" in str(result.exception)
    assert not stand_in.asked


@pytest.mark.parametrize(
    ("part", "status", "message", "said"),
    [
        ("/api/repos/create", 401, "Invalid username or password.", "does not know the token"),
        ("/api/repos/create", 403, "You don't have the rights to create a model under acme", "the rights to create"),
        ("/preupload/", 403, "Private repository storage limit reached", "storage limit reached"),
        ("objects/batch", 507, "no room", "no room"),
        ("/stored/", 403, "", "403"),
        ("/commit/", 409, "conflict", "somebody else is writing"),
        ("/commit/", 412, "A commit has happened since", "somebody else committed"),
        ("/commit/", 413, "too large", "larger than the hub takes"),
        ("/commit/", 429, "slow down", "no more requests"),
    ],
)
def test_a_refusal_is_told_with_what_it_left(
    tiny_artifact: Path, stand_in: Hub, part: str, status: int, message: str, said: str
) -> None:
    """The hub's status and sentence, what to do, and that nothing was committed."""
    stand_in.refusals[part] = (status, message)
    error = failed(tiny_artifact)
    assert str(status) in error and said.lower() in error.lower()
    assert "nothing was sent" in error or "nothing was committed" in error
    for repository in stand_in.repositories.values():
        assert len(repository.branches["main"]) == 1


def test_a_connection_that_ends_after_the_commit_is_not_called_nothing(tiny_artifact: Path, stand_in: Hub) -> None:
    """The commit is there and its answer was lost: that the branch moved is said, and a second push is verified."""
    stand_in.cuts = "/commit/"
    assert "the branch moved from" in failed(tiny_artifact)
    stand_in.cuts = ""
    assert "verified:" in run(tiny_artifact).output


def test_a_hub_that_stays_away(tiny_artifact: Path, stand_in: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at the address."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "nothing was sent" in failed(tiny_artifact)


def test_an_interrupted_upload_says_what_is_there(
    tiny_artifact: Path, stand_in: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between LFS and commit."""
    from huggingface_hub import HfApi

    def interrupted(self: Any, **_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(HfApi, "preupload_lfs_files", interrupted)
    error = failed(tiny_artifact)
    assert "interrupted; nothing was committed" in error


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"spoils": ("model.fp32.onnx",)}, "model.fp32.onnx has sha256"),
        ({"spoils": ("tokenizer.json",)}, "tokenizer.json has sha256"),
        ({"loses": ("tokenizer.json",)}, "tokenizer.json is missing"),
        ({"overtaken": True}, "main is at"),
    ],
)
def test_what_is_not_there_is_not_verified(
    tiny_artifact: Path, stand_in: Hub, fault: dict[str, Any], said: str
) -> None:
    """Other bytes in LFS or in git, a file that a .gitignore of the repository swallowed, somebody else's commit."""
    for name, value in fault.items():
        setattr(stand_in, name, value)
    error = failed(tiny_artifact)
    assert said in error and "is there, and is not verified" in error


def test_a_public_repository_is_not_written_unasked(tiny_artifact: Path, stand_in: Hub) -> None:
    """The hub keeps the visibility of a repository that is there; with --public it is said."""
    stand_in.add(NAME, {}, private=False)
    assert "is not private" in failed(tiny_artifact)
    assert not stand_in.stored
    assert f"{NAME} (public)" in run(tiny_artifact, "--public").output


def test_old_files_are_not_left_for_a_loader_to_take(model: Path, stand_in: Hub) -> None:
    """Weights of an earlier push would be taken for this one's: refused, or removed in the same commit."""
    old = {"pytorch_model.bin": b"old", "2_Dense/config.json": b"{}", "LICENSE": b"text", "notes.md": b""}
    stand_in.add(NAME, old)
    error = failed(model)
    assert "2_Dense/config.json" in error and "pytorch_model.bin" in error and "LICENSE" not in error
    result = run(model, "--replace")
    assert result.exit_code == 0, result.output
    commit, files = stand_in.repositories[NAME].branches["main"][-1]
    assert "pytorch_model.bin" not in files and "2_Dense/config.json" not in files and "LICENSE" in files
    assert "LICENSE, notes.md" in result.stderr and commit[:12] in result.stdout


def test_another_branch(tiny_artifact: Path, stand_in: Hub) -> None:
    """It is made where it is not there, and main stays."""
    assert run(tiny_artifact, "--revision", "v2").exit_code == 0
    branches = stand_in.repositories[NAME].branches
    assert "manifest.json" in branches["v2"][-1][1] and "manifest.json" not in branches["main"][-1][1]


def test_a_damaged_artifact_does_not_leave(tiny_artifact: Path, stand_in: Hub, tmp_path: Path) -> None:
    """Its files are checked before the hub is asked."""
    shutil.copytree(tiny_artifact, tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").write_text("{}")
    assert isinstance(run(tmp_path / "a").exception, SamespaceError) and not stand_in.asked


def test_a_model_whose_weights_would_stay_does_not_leave(model: Path, stand_in: Hub) -> None:
    """Weights as a pickle, or a link out of the folder."""
    (model / "model.safetensors").rename(model.parent / "weights")
    result = run(model)
    assert isinstance(result.exception, SamespaceError) and not stand_in.asked
    (model / "model.safetensors").symlink_to(model.parent / "weights")
    assert "no plain file" in str(run(model).exception) and not stand_in.asked


def test_modules_json_does_not_name_folders_outside(model: Path) -> None:
    """A path upwards, an absolute one and one through a link bring nothing along."""
    outside = model.parent / "outside"
    outside.mkdir()
    (outside / "config.json").write_text(SECRET)
    (model / "linked").symlink_to(outside)
    modules = json.loads((model / "modules.json").read_text())
    for path in ("../outside", str(outside), "linked"):
        modules.append({"idx": 9, "name": "9", "path": path, "type": "x"})
    (model / "modules.json").write_text(json.dumps(modules))
    contents = contents_of(model)
    assert not [name for name in contents.files if "outside" in name or "linked" in name]
    assert "linked" in contents.left_out


@pytest.mark.parametrize("name", ["acme", "a/b/c", "/x", "acme/", " a/b"])
def test_a_name_that_is_none(tiny_artifact: Path, stand_in: Hub, name: str) -> None:
    """It is refused here, before a token is sent anywhere."""
    result = CliRunner().invoke(cli, ["push", str(tiny_artifact), "--to", name])
    assert isinstance(result.exception, ConfigInvalid) and not stand_in.asked
