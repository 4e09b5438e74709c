"""samespace.folders: files that are whole, or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from samespace.folders import whole_file

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
