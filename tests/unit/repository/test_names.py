"""One meaning a word: a public class name says which class is meant, wherever it is read."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("sdk/samespace", "inference_server/samespace_server", "plugin_config/samespace_weaviate")
GENERATED = ROOT / "sdk" / "samespace" / "rpc" / "v1"
# Names that still have two classes. Take a name out when one of the two is renamed; add none.
WAITING: frozenset[str] = frozenset()


def modules() -> Iterator[Path]:
    """Every module of the three packages but the generated ones."""
    for package in PACKAGES:
        yield from (file for file in sorted((ROOT / package).rglob("*.py")) if GENERATED not in file.parents)


def classes(source: str) -> Iterator[str]:
    """The public classes that a module defines, also those in other classes; not those in functions."""
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, ast.ClassDef):
                if not node.name.startswith("_"):
                    yield node.name
                todo.append(node)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                todo.append(node)


def test_no_public_class_name_is_defined_twice() -> None:
    """In two modules of the three packages; `from here import X` would mean another class than the same line there."""
    defined: defaultdict[str, set[str]] = defaultdict(set)
    for file in modules():
        for name in classes(file.read_text(encoding="utf-8")):
            defined[name].add(str(file.relative_to(ROOT)))
    assert len(defined) > 300, "the packages were not found"
    twice = {name: sorted(files) for name, files in defined.items() if len(files) > 1}
    assert {name: files for name, files in twice.items() if name not in WAITING} == {}
    assert set(twice) >= WAITING, f"renamed meanwhile, take out of WAITING: {sorted(WAITING - set(twice))}"


def test_what_counts_as_a_public_class() -> None:
    """Nested and conditional ones do; private ones and those inside functions do not."""
    source = "class A:\n  class B: ...\nif True:\n  class C: ...\ndef f():\n  class D: ...\nclass _E: ...\n"
    assert sorted(classes(source)) == ["A", "B", "C"]


def defined_names() -> set[str]:
    """Modules, packages, functions, classes and constants of the three packages, and what Python itself has."""
    names = set(sys.stdlib_module_names)
    for file in modules():
        names |= {file.stem, file.parent.name}
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


def test_docstrings_send_readers_to_what_is_there() -> None:
    """ "What it leaves to others" names modules and functions that exist."""
    names, lost = defined_names(), []
    for file in modules():
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        for paragraph in re.findall(r"leaves? to others.*?(?=\n\n|\Z)", text, re.DOTALL):
            for name in re.findall(r"`([a-z_][\w.]*)`", paragraph):
                if not set(name.split(".")) <= names | {"samespace", "samespace_server", "samespace_weaviate"}:
                    lost.append(f"{file.name}: {name}")
    assert lost == []
