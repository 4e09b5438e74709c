"""Everything that a user reads of the command line and of errors, in two files that can be read as a whole.

`python -m golden.texts` (or `make golden`) writes them; a test holds them against the code, so that a change of wording
is a diff. Help texts are what click prints at 100 columns. Errors are read from the source: each construction of an
error class, with what is computed in braces.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import click

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PACKAGES = ("sdk/samespace", "inference_server/samespace_server", "plugin_config/samespace_weaviate")
COLUMNS = 100


def help_texts() -> str:
    """The help of every command and group, in the order of the tree."""
    from samespace.cli import cli

    return "\n".join(f"{'=' * COLUMNS}\n{_help(command, path)}\n" for path, command in _commands(cli, ("samespace",)))


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


def _help(command: click.Command, path: tuple[str, ...]) -> str:
    context = click.Context(
        command,
        info_name=" ".join(path),
        terminal_width=COLUMNS,
        max_content_width=COLUMNS,
        help_option_names=["-h", "--help"],
    )
    command._help_option = None  # click keeps the first that it made, of whatever context that was
    return command.get_help(context).rstrip()


def error_texts() -> str:
    """Every error that is made in the source: its file, its class, and its words."""
    classes = _error_classes()
    blocks = []
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if "v1" in file.parts:
                continue
            made = list(_made(ast.parse(file.read_text(encoding="utf-8")), classes))
            if made:
                blocks.append("\n".join([str(file.relative_to(ROOT)), *(f"  {each}" for each in made)]))
    return "\n\n".join(blocks) + "\n"


def _error_classes() -> frozenset[str]:
    """Names of `SamespaceError` and everything that derives from it, wherever it is defined."""
    bases: dict[str, set[str]] = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases.setdefault(node.name, set()).update(ast.unparse(each).split(".")[-1] for each in node.bases)
    found = {"SamespaceError", "UsageError", "BadParameter", "ClickException"}
    while more := {name for name, of in bases.items() if of & found} - found:
        found |= more
    return frozenset(found)


def _made(tree: ast.Module, classes: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in classes:
            words = [
                *map(_words, node.args),
                *(f"{each.arg}={_words(each.value)}" for each in node.keywords if each.arg),
            ]
            yield f"{ast.unparse(node.func).split('.')[-1]}: " + " | ".join(words)


def _words(node: ast.expr) -> str:
    """A string with what is computed in braces; anything else as it is written."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(each.value) if isinstance(each, ast.Constant) else "{" + ast.unparse(each.value) + "}"  # type: ignore[attr-defined]
            for each in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left) + _words(node.right)
    return "{" + ast.unparse(node) + "}"


TEXTS = {"help.txt": help_texts, "errors.txt": error_texts}


def main() -> None:
    for name, text in TEXTS.items():
        (FOLDER / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
