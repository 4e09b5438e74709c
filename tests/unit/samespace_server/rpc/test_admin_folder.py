"""What may be loaded over the admin port: real folders below one root, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from samespace.errors import RequestInvalid
from samespace_server.rpc.admin import below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a folder in it, one beside it, and links of every kind."""
    root = tmp_path / "root"
    (root / "team" / "a").mkdir(parents=True)
    (tmp_path / "root-elsewhere" / "b").mkdir(parents=True)
    (root / "link-inside").symlink_to(root / "team" / "a")
    (root / "link-outside").symlink_to(tmp_path / "root-elsewhere" / "b")
    (root / "link-up").symlink_to("..")
    (root / "circle").symlink_to(root / "circle")
    (root / "file").write_text("a file")
    return root


def test_folders_below_the_root_are_found(root: Path) -> None:
    """Relative, absolute, with dots that stay inside, and through links that do."""
    a = (root / "team" / "a").resolve()
    for name in ("team/a", "./team/../team/a/", str(root / "team" / "a"), "link-inside", "link-up/root/team/a"):
        assert below(root, name) == a


@pytest.mark.parametrize(
    "name",
    [
        "..", "../root-elsewhere/b", "team/../../root-elsewhere/b", "link-outside", "link-up", "link-up/root-elsewhere",
        "/", "/etc", "/etc/passwd", "~", "circle", "circle/a", "nowhere", "file", "file/a", "a\0b", "x" * 5000,
        "../root-elsewhere/nowhere",
    ],
)  # fmt: skip
def test_everything_else_is_refused(root: Path, name: str) -> None:
    """Outside, by dots, by links or by being absolute; and what is no folder, or no path at all."""
    with pytest.raises(RequestInvalid):
        below(root, name)


def test_a_refusal_does_not_tell_what_is_outside(root: Path) -> None:
    """A folder that exists outside of the root and one that does not are refused in the same words."""
    said = []
    for name in ("../root-elsewhere/b", "../root-elsewhere/c"):
        with pytest.raises(RequestInvalid) as caught:
            below(root, name)
        said.append(str(caught.value).replace(name, ""))
    assert said[0] == said[1]


def test_the_root_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    """It is what the operator named; only what is asked for below it has to stay there."""
    (tmp_path / "to-root").symlink_to(root)
    assert below(tmp_path / "to-root", "team/a") == (root / "team" / "a").resolve()
