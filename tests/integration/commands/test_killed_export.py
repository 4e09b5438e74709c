"""An export that is killed at any moment leaves no readable half artifact, and the next one tidies up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from samespace.artifact import open_artifact, verify_files
from samespace.errors import ArtifactError

pytestmark = pytest.mark.integration

# Writes a copy of an artifact and dies without a word at the chosen sync to disk: one is made after each file,
# after the manifest, for the folder, and after the rename.
WRITER = """
import os, signal, sys
from pathlib import Path
from samespace.artifact import open_artifact, write_artifact

source, target, last = open_artifact(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
sync, syncs = os.fsync, 0

def counted(descriptor):
    global syncs
    if syncs == last:
        os.kill(os.getpid(), signal.SIGKILL)
    syncs += 1
    sync(descriptor)

os.fsync = counted
files = {name: source.folder / name for name in source.manifest.files}
write_artifact(target, files, lambda _: source.manifest, replace=True)
print(syncs)
"""


def write(source: Path, target: Path, last: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WRITER, str(source), str(target), str(last)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("existing", [False, True], ids=["new", "replacing"])
def test_a_kill_at_every_sync_leaves_a_whole_artifact_or_none(
    tiny_artifact: Path, other_artifact: Path, tmp_path: Path, existing: bool
) -> None:
    """Whatever stands at the target is whole: nothing, the old artifact, or the new one."""
    syncs = int(write(tiny_artifact, tmp_path / "counted", last=999).stdout)
    assert syncs == len(open_artifact(tiny_artifact).manifest.files) + 3
    whole = {open_artifact(tiny_artifact).space_id, open_artifact(other_artifact).space_id}
    for last in range(syncs):
        target = tmp_path / f"target{last}"
        if existing:
            write(other_artifact, target, last=999)
        killed = write(tiny_artifact, target, last)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        if target.exists():
            left = open_artifact(target)
            assert verify_files(left) and left.space_id in whole
        else:
            assert not existing or last == syncs - 1
            with pytest.raises(ArtifactError):
                open_artifact(target)
        # The next export succeeds and leaves nothing of the killed one.
        assert write(tiny_artifact, target, last=999).returncode == 0
        assert open_artifact(target).space_id == open_artifact(tiny_artifact).space_id
        assert [path.name for path in tmp_path.glob(f".{target.name}.*")] == []


def test_a_killed_export_command_leaves_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """kill -9 while the real command is at work: the target does not exist."""
    command = [sys.executable, "-m", "samespace", "export", str(tiny_checkpoint), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Exporting"):
                break
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
