"""What mkdocs adds to the written pages: the reference of the code, the decision records and the results.

mkdocs calls the functions named on_*. The pages of the Python API and of the command line are made from the packages
as they are, so a module that moves takes its page along. Files outside of docs/ that pages link to are taken into the
site when they are results or records, and otherwise linked in the repository.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import click
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = {
    "samespace": ROOT / "sdk" / "samespace",
    "samespace_server": ROOT / "inference_server" / "samespace_server",
    "samespace_weaviate": ROOT / "plugin_config" / "samespace_weaviate",
}
LEFT_OUT: Final = ("samespace.cli", "samespace.rpc.v1")
"""The command line has pages of its own; the stubs are generated from the proto files."""
TAKEN_IN: Final = ("benchmarks/LOG.md", "benchmarks/results/*.md", "benchmarks/results/*.svg", "CHANGELOG.md")
LINK: Final = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the generated pages, the records and the results to the navigation."""
    # Commands are read by importing them: from this checkout, wherever the package is installed from.
    sys.path[:0] = [str(folder.parent) for folder in PACKAGES.values()]
    nav: list[Any] = config.nav or []
    reference = next(part["Reference"] for part in nav if "Reference" in part)
    reference.append({"Command line": [{name: f"reference/cli/{name}.md"} for name in commands()]})
    reference.append({"Python": [f"reference/python/{name}.md" for name in sorted(rooms())]})
    records = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    nav.append({"Decisions": [f"decisions/{name}" for name in records]})
    nav.append({"Results": [name for name in taken_in() if name.endswith(".md")]})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the files of the repository that belong to the site."""
    from mkdocs.structure.files import File

    for name, modules in rooms().items():
        options = "    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
        own = f"# {name}\n\n::: {name}\n{options}\n"
        text = own + "\n".join(f"::: {module}\n" for module in modules[1:])
        files.append(File.generated(config, f"reference/python/{name}.md", content=text))
    for name, (module, attribute) in commands().items():
        block = (
            f"::: mkdocs-click\n    :module: {module}\n    :command: {attribute}\n    :prog_name: samespace {name}\n"
        )
        _set_examples_as_code(getattr(import_module(module), attribute))
        text = f"{block}    :style: table\n    :depth: 0\n    :list_subcommands: true\n"
        files.append(File.generated(config, f"reference/cli/{name}.md", content=text))
    for name in taken_in():
        files.append(File.generated(config, name, content=(ROOT / name).read_bytes()))
    return files


def on_page_markdown(markdown: str, /, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ to the site's copy, or to the repository."""
    source = page.file.src_uri
    if source.startswith("reference/cli/"):
        return markdown
    on_disk = ROOT / source if source in taken_in() else ROOT / "docs" / source

    def target(link: re.Match[str]) -> str:
        address = link[2]
        if "://" in address or address.startswith("mailto:"):
            return link[0]
        found = Path(os.path.normpath(on_disk.parent / address))
        if not found.exists() or not found.is_relative_to(ROOT):
            return link[0]  # the strict build names it
        inside = found.relative_to(ROOT / "docs") if found.is_relative_to(ROOT / "docs") else found.relative_to(ROOT)
        if files.get_file_from_path(inside.as_posix()) is None:
            return f"{link[1]}{config.repo_url}/blob/main/{found.relative_to(ROOT).as_posix()}{link[3]}"
        return f"{link[1]}{os.path.relpath(inside, Path(source).parent)}{link[3]}"

    return LINK.sub(target, markdown)


def commands() -> dict[str, tuple[str, str]]:
    """Each command's module and attribute, as the command line's own table has them."""
    from samespace.cli import COMMANDS

    return {name: (place.partition(":")[0], place.partition(":")[2]) for name, (place, _) in COMMANDS.items()}


def rooms() -> dict[str, list[str]]:
    """Every package with its public modules, the package itself first."""
    found: dict[str, list[str]] = {}
    for name, folder in PACKAGES.items():
        for package, path in _packages(name, folder):
            modules = sorted(file.stem for file in path.glob("*.py") if not file.stem.startswith("_"))
            found[package] = [package, *(f"{package}.{module}" for module in modules)]
    return found


def taken_in() -> list[str]:
    """Files outside of docs/ that are part of the site, by their path in the repository."""
    return sorted(path.relative_to(ROOT).as_posix() for pattern in TAKEN_IN for path in ROOT.glob(pattern))


def _set_examples_as_code(command: click.Command) -> None:
    """Turn the examples in the help of *command* and of its subcommands into blocks of code."""
    import click

    # click marks a block that is not to be wrapped with a backspace; Markdown would join its lines.
    blocks = re.compile(r"\x08\n\s*(Examples?:)\n((?:[ \t]+\S.*(?:\n|$))+)")
    command.help = blocks.sub(
        lambda found: f"**{found[1]}**\n\n```\n{textwrap.dedent(found[2]).rstrip()}\n```\n",
        inspect.cleandoc(command.help or ""),
    )
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            _set_examples_as_code(below)


def _packages(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    if name in LEFT_OUT:
        return
    yield name, folder
    for child in sorted(folder.iterdir()):
        if (child / "__init__.py").is_file():
            yield from _packages(f"{name}.{child.name}", child)
