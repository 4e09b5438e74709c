"""Commands that the program itself prints: every one in a string of the sources is one that it takes.

A command alone (`samespace weaviate migrate`) is a name; with an argument or an option, or behind "Next:", it is a line
to run, so that nothing may be missing. What is computed stands as a word.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator

import click
import pytest

from golden.texts import PACKAGES, ROOT
from samespace.cli import cli

HOLE = "COMPUTED"
_SPAN = re.compile(r"(Next: |`)?samespace ([a-z][^`\n]*)(`)?")
_PLACEHOLDER = re.compile(r"\[[^\]]*\]|\.\.\.|…")


def printed(source: str) -> Iterator[tuple[bool, str]]:
    """(whether it is a line to run whatever it has, the words behind "samespace") of each command in strings."""
    tree = ast.parse(source)
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in documented or id(node) in inner:
            continue
        for before, words, after in _SPAN.findall(_text(node)):
            if before == "Next: " or (before == "`" and after):
                yield before == "Next: ", words.strip()


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(each.value if isinstance(each, ast.Constant) else HOLE for each in node.values)  # type: ignore[misc]
    return ""


def fault(words: str, *, to_run: bool) -> str:
    """What click would say against the line; "" for nothing."""
    rest = shlex.split(_PLACEHOLDER.sub("", words).rstrip(".,;: "))
    command: click.Command = cli
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        if rest[0] == HOLE:
            return ""
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return f"no command {rest[0]!r}"
        command, rest = found, rest[1:]
    if (not rest and not to_run) or "--help" in rest:
        return ""
    context = click.Context(command, info_name=command.name)
    try:
        given, left, _ = command.make_parser(context).parse_args(list(rest))
    except click.UsageError as error:
        return error.format_message()
    if left:
        return f"too many arguments: {left}"
    missing = [each.opts[-1] for each in command.params if each.required and not given.get(str(each.name))]
    return f"missing: {', '.join(missing)}" if missing else ""


SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if "v1" not in file.parts)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_printed_command_is_one_that_the_program_takes(package: str) -> None:
    """`adopt` ended with "Next: samespace weaviate audit NAME", which misses its encoder."""
    wrong, seen = [], 0
    for file in SOURCES:
        if not file.is_relative_to(ROOT / package):
            continue
        for to_run, words in printed(file.read_text(encoding="utf-8")):
            seen += 1
            if why := fault(words, to_run=to_run):
                wrong.append(f"{file.relative_to(ROOT)}: samespace {words}: {why}")
    assert not wrong, "\n".join(wrong)
    assert seen


@pytest.mark.parametrize(
    "line",
    [
        'say(f"Next: samespace weaviate audit {name}")',
        'say("run `samespace weaviate adopt Docs`")',
        'say("see `samespace weaviate chekc`")',
        'say(f"`samespace weaviate audit {name} --encoder e --smaple 3`")',
        'say("Next: samespace certify --kye")',
    ],
)
def test_this_test_finds_what_is_wrong(line: str) -> None:
    ((to_run, words),) = printed(line)
    assert fault(words, to_run=to_run)
