"""What is read at once stays small: functions of 60 lines, modules of 400, rooms of 16 files."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("sdk/samespace", "inference_server/samespace_server", "plugin_config/samespace_weaviate")
GENERATED = ROOT / "sdk" / "samespace" / "rpc" / "v1"
LINES_OF_A_FUNCTION, LINES_OF_A_MODULE, FILES_OF_A_ROOM = 60, 400, 16
# Functions that are longer still. Take one out when it is short; add none.
WAITING: frozenset[str] = frozenset()


def modules() -> Iterator[Path]:
    """Every module of the three packages but the generated ones."""
    for package in PACKAGES:
        yield from (file for file in sorted((ROOT / package).rglob("*.py")) if GENERATED not in file.parents)


def long_functions(source: str) -> Iterator[str]:
    """Names of the functions above the limit, decorators not counted; a function holds those that are inside it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None  # always there in what was parsed
            if node.end_lineno - node.lineno + 1 > LINES_OF_A_FUNCTION:
                yield node.name


def test_functions_are_short() -> None:
    """Whoever reads one sees its beginning and its end at once."""
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in modules()
        for name in long_functions(file.read_text(encoding="utf-8"))
    }
    assert found - WAITING == set()
    assert found >= WAITING, f"short meanwhile, take out of WAITING: {sorted(WAITING - found)}"


def test_modules_are_short() -> None:
    """One idea each."""
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in modules()}
    assert len(lengths) > 250, "the packages were not found"
    assert {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_MODULE} == {}


def test_rooms_hold_few_files() -> None:
    """More than 16 modules are a corridor, not a room; folders of tests as well."""
    rooms = Counter(str(file.parent.relative_to(ROOT)) for file in (*modules(), *(ROOT / "tests").rglob("*.py")))
    assert {room: files for room, files in rooms.items() if files > FILES_OF_A_ROOM} == {}


def test_what_counts_as_long() -> None:
    """Sixty lines are allowed, sixty-one are not; async functions and methods count."""
    body = "\n".join(["  x = 1"] * 59)
    assert list(long_functions(f"def f():\n{body}\n")) == []
    assert list(long_functions(f"async def f():\n{body}\n  y = 2\n")) == ["f"]
