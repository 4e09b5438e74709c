"""samespace.folders: files that are whole, or not there."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from fakes.holder import holding
from samespace.errors import OutputBusy, OutputFailed
from samespace.folders import disk_errors, held, require_room, whole_file, whole_folder

DEAD = 2**22 + 1  # above every process's number


def test_a_file_is_replaced_at_once_or_left_alone(tmp_path: Path) -> None:
    """A block that fails leaves the old file and nothing else."""
    target = tmp_path / "state.json"
    with whole_file(target) as file:
        file.write(b"first")
    with pytest.raises(ValueError, match="meanwhile"), whole_file(target) as file:
        file.write(b"sec")
        assert target.read_bytes() == b"first"
        raise ValueError("meanwhile")
    assert target.read_bytes() == b"first" and list(tmp_path.iterdir()) == [target]


def test_what_a_killed_write_left_is_tidied_up(tmp_path: Path) -> None:
    """That of a live process stays, and so does a file of another name."""
    target = tmp_path / "state.json"
    left, live, other = (
        tmp_path / name
        for name in (f".state.json.{DEAD}-ab.partial", f".state.json.{os.getpid()}-ab.partial", f".b.{DEAD}-ab.partial")
    )
    for path in (left, live, other):
        path.write_bytes(b"half")
    with whole_file(target) as file:
        file.write(b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([target, live, other])


def test_an_output_has_one_writer(tmp_path: Path) -> None:
    """Another process is refused, by whatever name it calls the output; in one process blocks may be nested."""
    target = tmp_path / "new" / "model"
    with holding(target):
        for name in (target, tmp_path / "new" / ".." / "new" / "model"):
            with pytest.raises(OutputBusy), whole_folder(name):
                pytest.fail("two writers")
    with held(target), held(target), whole_folder(target) as work:
        (work / "weights").write_bytes(b"1")
    assert (target / "weights").read_bytes() == b"1"
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", target, target / "weights"]


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """Its file is there still, and the next one takes it over and takes it away."""
    target = tmp_path / "model"
    with holding(target) as other:
        other.kill()
        other.wait()
    lock = tmp_path / ".model.lock"
    assert lock.exists()
    with held(target):
        assert int(lock.read_text()) == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_another_thread_is_another_writer(tmp_path: Path) -> None:
    """Two trainings in one program are two trainings."""
    caught: list[BaseException] = []

    def second() -> None:
        try:
            with held(tmp_path / "model"):
                pytest.fail("two writers")
        except OutputBusy as error:
            caught.append(error)

    with held(tmp_path / "model"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(caught) == 1


def test_holders_take_turns(tmp_path: Path) -> None:
    """However often the file of the lock comes and goes, never two at once."""
    inside, most, turns = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, turns
        while turns < 200:
            try:
                with held(tmp_path / "model"):
                    inside += 1
                    most = max(most, inside)
                    turns += 1
                    inside -= 1
            except OutputBusy:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_folder_without_room_is_told_beforehand(tmp_path: Path) -> None:
    """With both numbers."""
    require_room(tmp_path / "model", 1)
    with pytest.raises(OutputFailed, match=r"it needs 1048576000 MiB and \d+ MiB are free there"):
        require_room(tmp_path / "not" / "there" / "model", 1000 << 40)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room"),
        (OSError(errno.EROFS, "Read-only file system", "TARGET"), "Read-only file system; name an output"),
        (PermissionError(errno.EACCES, "Permission denied", "TARGET/x"), "Permission denied; name an output"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "No space left on device; make room"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), "did not take it"),
    ],
    ids=["python", "path", "inside", "rust", "torch"],
)
def test_what_a_disk_says_is_one_error(error: Exception, reason: str, tmp_path: Path) -> None:
    """Whichever library wrote."""
    if isinstance(error, OSError) and error.filename:
        error.filename = str(error.filename).replace("TARGET", str(tmp_path / "model"))
    with pytest.raises(OutputFailed, match=reason), disk_errors(tmp_path / "model"):
        raise error


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "No such file or directory", "/elsewhere"), ValueError("no disk"), OSError("x")],
    ids=["elsewhere", "value", "plain"],
)
def test_other_errors_stay_what_they_are(error: Exception, tmp_path: Path) -> None:
    """An input that is not there is no output that cannot be written."""
    with pytest.raises(type(error)) as caught, disk_errors(tmp_path / "model"):
        raise error
    assert caught.value is error
