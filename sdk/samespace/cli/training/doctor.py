"""`samespace doctor`: what is wrong with data, before it is trained on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...folders import whole_file, writes
from ..console import one_line, progress, say, wrapped

if TYPE_CHECKING:
    from ...text import Role, TextEncoder
    from ...training.doctor import DataFinding, Diagnosis, Questions
    from ...training.doctor.material import Material


@click.group()
def doctor() -> None:
    """Find what is wrong with data before it is trained on.

    \b
    Example:
      samespace doctor data data/scifact --html doctor.html
    """


@doctor.command()
@click.argument("sources", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="DATA...")
@click.option("--train-split", default="train", show_default=True, help="Split that is trained on.")
@click.option("--held-out", help="Splits that training must not have seen, comma-separated; default: all others.")
@click.option(
    "--allow-leakage",
    type=click.Choice(["none", "passages", "all"]),
    default="none",
    show_default=True,
    help="Report these leaks as warnings, not as errors.",
)
@click.option(
    "--encoder",
    help="Artifact or model; adds token lengths, vocabulary, and its view of pairs and negatives.",
)
@click.option("--tokens-only", is_flag=True, help="Use only the encoder's tokenizer; takes seconds instead of minutes.")
@click.option(
    "--sample",
    default=2000,
    show_default=True,
    type=click.IntRange(1),
    help="Training examples that the encoder checks.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write the report with pictures to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--show-texts", is_flag=True, help="Show the texts of examples, not only their ids.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option(
    "--write-splits",
    "splits_out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write splits that share no near-duplicate.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="SPLIT",
    help="Keep this split unchanged when splits are written; may be given several times.",
)
@writes("html")
@writes("splits_out")
def data(sources: tuple[Path, ...], splits_out: Path | None, keep: tuple[str, ...], **options: Any) -> None:
    """Look at training data: leaks, wrong pairs, duplicates, false negatives, labels, texts, lengths, languages.

    DATA is a BEIR folder, files of JSONL, JSON, CSV, TSV or Parquet, or a saved Hugging Face dataset; several are one
    set. A set without a training split is looked at too. Exit code 0 where there is no error, 1 where there is one;
    texts are not shown unless asked for.

    \b
    Example:
      samespace doctor data data/scifact --html doctor.html
      samespace doctor data data/scifact --encoder artifacts/minilm --show-texts
      samespace doctor data data/scifact --write-splits data/scifact-clean --keep test
    """
    from ...errors import DataInvalid
    from ...extras import require_extra

    require_extra("train", feature="the doctor", modules=("datasketch",))
    from ...training.data.sources import load_data
    from ...training.doctor import Questions, keep_options, material_of, report, resplit, write_splits

    asked = Questions(
        train=options["train_split"],
        held_out=None if options["held_out"] is None else tuple(filter(None, options["held_out"].split(","))),
        allow_leakage=options["allow_leakage"],
        most_encoded=options["sample"],
        show_texts=options["show_texts"],
    )
    if splits_out is not None and splits_out.exists():  # said now, not after minutes of looking
        raise DataInvalid(path=str(splits_out), reason="exists already; name another folder, or remove it")
    material = material_of(load_data(sources), asked)
    with ExitStack() as stack:
        diagnosis = _examined(stack, material, asked, options["encoder"], options["tokens_only"])
    if options["html"]:
        with whole_file(options["html"]) as file:
            file.write(report(diagnosis).encode())
        say(f"report: {options['html']}")
    if options["as_json"]:
        click.echo(json.dumps(diagnosis.to_json(), ensure_ascii=False))
    else:
        show(diagnosis)
    if splits_out is not None:
        made = resplit(material, keep=keep)
        changed = write_splits(material.data, made, splits_out)
        sizes = ", ".join(f"{split} {len(part)}" for split, part in made.splits.items())
        say(
            f"splits: {splits_out}: {sizes} examples; {made.left_out} left out, {made.components} connected parts, "
            f"the largest with {made.largest}"
        )
        for sentence in changed:
            say(wrapped(sentence, first="note: "))
        if anew := [split for split in material.held_out if split not in keep]:
            told = f"{' and '.join(anew)} divided anew: a score on it compares with no published one. To keep: "
            say(wrapped(told + keep_options(material.held_out), first="note: "))
    sys.exit(not diagnosis.healthy(strict=options["strict"]))


def _examined(stack: ExitStack, material: Material, asked: Questions, name: str | None, tokens_only: bool) -> Diagnosis:
    """The diagnosis, with the encoder called *name* where one is."""
    from ...training.doctor import examine

    if name is None:
        return examine(material, asked)
    from ..encoders import open_encoder

    encoder = stack.enter_context(open_encoder(name))
    embedder = None if tokens_only else encoder
    if not tokens_only:
        say("the encoder reads a sample of each split, and the whole corpus where held-out texts have leaked")
    # How many texts are read is known only when it is known what has leaked.
    advance = None if tokens_only else stack.enter_context(progress("texts", 0))
    return examine(material, asked, text_encoders=text_path(encoder), embedder=embedder, progress=advance)


def text_path(encoder: Any) -> Mapping[Role, TextEncoder] | None:
    """How *encoder* makes model inputs, where it is in this process; None for a server's, and for a composite."""
    inside = getattr(encoder, "loaded", None) or getattr(encoder, "checkpoint", None)
    text_encoder = getattr(inside, "text_encoder", None)
    return None if text_encoder is None else {"query": text_encoder, "passage": text_encoder}


def show(diagnosis: Diagnosis, *, notes: bool = True, err: bool = False) -> None:
    """The findings for a terminal, errors first; on stdout, or on stderr where *err*."""
    sizes = ", ".join(f"{split} {count}" for split, count in diagnosis.splits.items())
    click.echo(f"{diagnosis.data}: {sizes} examples, {diagnosis.passages} passages\n", err=err)
    for finding in diagnosis.findings(*(() if notes else ("error", "warning"))):
        _show(finding, diagnosis, err)
    errors, warnings = len(diagnosis.findings("error")), len(diagnosis.findings("warning"))
    click.secho(
        f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}",
        fg="red" if errors else "yellow" if warnings else "green",
        bold=True,
        err=err,
    )


def _show(finding: DataFinding, diagnosis: Diagnosis, err: bool) -> None:
    colour = {"error": "red", "warning": "yellow"}.get(finding.severity)
    indent = " " * 8
    told = [finding.says] + [f"{finding.advice}."] * bool(finding.advice)
    shown = finding.examples[: 5 if diagnosis.texts else 3]
    if shown:
        told.append("Such as " + "; ".join(" and ".join(map(str, each)) for each in shown) + ".")
    body = "\n".join(wrapped(sentence, first=indent) for sentence in told)
    head = click.style(f"{finding.severity:<8}", fg=colour, bold=colour is not None)
    click.echo(head + body.removeprefix(indent), err=err)
    if diagnosis.texts:
        for name in (name for each in shown for name in each):
            click.echo(indent + one_line(f"{name}: {diagnosis.texts[name]}", indent=len(indent)), err=err)
    click.echo(err=err)
