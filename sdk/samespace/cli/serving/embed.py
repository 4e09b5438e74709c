"""`samespace embed`: files of texts to files of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ...errors import RequestInvalid
from ..console import echo, progress, say
from ..options import gathered

if TYPE_CHECKING:
    from ...bulk.cluster import Cluster
    from ...bulk.local import Made
    from ...bulk.plan import BulkPart, Columns, Options
    from ...encoder import Encoder
    from ...text import LongTexts, Role
    from ...vectors import WireType


@dataclass(frozen=True, slots=True)
class OpenForBulk:
    """Opens the encoder where the work is done: in this process, or in each of Ray's workers, which get this object.

    A token for a server is not in it: each machine reads its own environment, as commands do.
    """

    name: str
    build: str
    runtime: str
    device: str

    def __call__(self, streams: int) -> Encoder:
        """The encoder, ready for *streams* calls at a time, each of which runs on one core."""
        from ...encoder import Encoder
        from ..encoders import open_encoder

        if not (Path(self.name) / "manifest.json").is_file():
            return open_encoder(self.name)
        return Encoder.load(
            self.name,
            build=self.build,
            runtime=self.runtime,
            device=self.device,  # type: ignore[arg-type]
            threads=streams,
            streams=streams,
        )


@dataclass(frozen=True, slots=True)
class ChosenBuild:
    """--build, --runtime and --device."""

    build: str
    runtime: str
    device: str

    def __str__(self) -> str:
        return f"{self.build} on {self.runtime}, {self.device}"


@dataclass(frozen=True, slots=True)
class Workforce:
    """--engine, --cores, --workers, --gpus and --address; None for what was not said."""

    engine: str
    cores: int | None = None
    workers: str | None = None
    gpus: float | None = None
    address: str | None = None

    def require_process(self) -> None:
        """Raise `RequestInvalid` for what one process has no use for."""
        for name in ("workers", "gpus", "address"):
            if getattr(self, name) is not None:
                raise RequestInvalid(
                    field=f"--{name}", reason="is for --engine ray; in one process --cores says how many"
                )


def _columns(text_column: tuple[str, ...], id_column: str | None, number_rows: bool, keep: tuple[str, ...]) -> Columns:
    from ...bulk.plan import Columns

    return Columns(text=text_column or ("text",), id=id_column, number_rows=number_rows, keep=keep)


_column_options: Final = gathered(
    "columns",
    _columns,
    {
        "text_column": click.option(
            "--text-column",
            multiple=True,
            metavar="NAME",
            help="Text column; several are joined by blanks [default: text].",
        ),
        "id_column": click.option("--id-column", metavar="NAME", help="Id column [default: _id or id]."),
        "number_rows": click.option("--number-rows", is_flag=True, help="Use FILE#ROW as ids."),
        "keep": click.option(
            "--keep", multiple=True, metavar="NAME", help="Copy this column to the output; may be repeated."
        ),
    },
)
_build_options: Final = gathered(
    "build",
    ChosenBuild,
    {
        "build": click.option("--build", default="auto", show_default=True, help="Build of an artifact."),
        "runtime": click.option(
            "--runtime", default="auto", show_default=True, help="Runtime of an artifact: onnxruntime or openvino."
        ),
        "device": click.option(
            "--device", default="cpu", show_default=True, help="Device of an artifact: cpu, cuda or tensorrt."
        ),
    },
)
_workforce_options: Final = gathered(
    "workforce",
    Workforce,
    {
        "engine": click.option("--engine", type=click.Choice(["process", "ray"]), default="process", show_default=True),
        "cores": click.option(
            "--cores",
            type=int,
            metavar="N",
            help="Parts encoded at a time, one core each [default: all cores; 1 with ray].",
        ),
        "workers": click.option(
            "--workers",
            metavar="MAX|MIN:MAX",
            help="With ray: number of actors, of --cores each [default: one per core].",
        ),
        "gpus": click.option(
            "--gpus", type=float, metavar="N", help="With ray: GPUs per actor [default: 1 unless on the CPU]."
        ),
        "address": click.option(
            "--address", metavar="ADDRESS", help="With ray: address of a running cluster [default: start one here]."
        ),
    },
)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--out", required=True, metavar="FOLDER", help="Output folder or URI.")
@click.option(
    "--encoder", required=True, metavar="ARTIFACT|SERVER", help="Artifact, or host:port of servers, comma-separated."
)
@click.option("--role", type=click.Choice(["passage", "query"]), default="passage", show_default=True)
@click.option(
    "--long-texts",
    type=click.Choice(["pool", "windows", "slices", "reject"]),
    default="pool",
    show_default=True,
    help="Texts beyond the token limit: one pooled row, one row per window or slice, or an error.",
)
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True)
@click.option("--dims", type=int, metavar="N", help="Keep this many dimensions; only for encoders trained for it.")
@_column_options
@click.option("--without-text", is_flag=True, help="Do not copy the texts to the output.")
@click.option("--skip-empty", is_flag=True, help="Skip rows without a text, and report how many.")
@click.option("--part-rows", type=int, metavar="N", help="Rows per output file [default: 16384].")
@_build_options
@_workforce_options
def embed(
    inputs: tuple[str, ...],
    out: str,
    encoder: str,
    role: Role,
    long_texts: LongTexts,
    dtype: WireType,
    dims: int | None,
    columns: Columns,
    without_text: bool,
    skip_empty: bool,
    part_rows: int | None,
    build: ChosenBuild,
    workforce: Workforce,
) -> None:
    """Turn files of texts into files of vectors.

    INPUT is Parquet, JSONL, CSV or TSV, or a folder of such files; here, or under s3://, gs://, hdfs:// and what
    fsspec knows. The output is Parquet with vectors, token counts and the space id, one file for each --part-rows
    rows, in the order of the rows. Parts that are complete are not made again: after an interruption, run the same
    command. The bytes do not depend on the engine or the number of workers.

    \b
    Example:
      samespace embed corpus.jsonl --out vectors --encoder artifacts/pydoc --text-column title --text-column text
      samespace embed s3://bucket/texts --out s3://bucket/vectors --encoder artifacts/pydoc --engine ray --address auto
      samespace embed corpus.parquet --out vectors --encoder a:8081,b:8081 --cores 8 --long-texts windows
    """
    from ...bulk.files import writing_to
    from ...bulk.job import BulkJob, plan_job, run
    from ...bulk.plan import PART_ROWS, Options
    from ...extras import require_extra
    from ..encoders import space_of

    require_extra("arrow", feature="samespace embed", modules=("pyarrow",))
    # Ray's workers have working folders of their own.
    uris, out = tuple(_absolute(uri) for uri in inputs), _absolute(out)
    encoder = _absolute(encoder) if Path(encoder).exists() else encoder
    engine = _engine(workforce, OpenForBulk(encoder, build.build, build.runtime, build.device))
    space_id, name = space_of(encoder)
    options = Options(
        space_id, role, long_texts, dtype, dims, columns, skip_empty=skip_empty, with_text=not without_text,
        build=str(build),
    )  # fmt: skip
    job = BulkJob(uris, out, options, name, PART_ROWS if part_rows is None else part_rows)
    with writing_to(out):  # before texts are read
        parts = plan_job(job)
        rows = sum(part.rows for part in parts)
        say(f"{rows} rows in {len(parts)} parts, space {space_id[:12]}")
        with progress("rows", rows) as advance:
            done = run(job, parts, engine, advance)
    say(f"{done.made} parts made, {done.kept} were there.")
    if done.skipped:
        say(f"{done.skipped} rows without a text were left out.")
    if done.long_texts and long_texts == "pool":
        say(f"{done.long_texts} texts are longer than the token limit; their vectors are pooled windows.")
    echo(f"{done.rows} vectors of {done.texts} texts ({done.tokens} tokens) in {out}")


def _engine(workforce: Workforce, open_encoder: OpenForBulk) -> Callable[..., Iterator[Made]]:
    if workforce.engine == "ray":
        from ...bulk.cluster import require_ray, run_on_ray

        require_ray()
        cluster = cluster_of(workforce, open_encoder.device)

        def on_ray(
            parts: Sequence[BulkPart], options: Options, out: str, advance: Callable[[int], None]
        ) -> Iterator[Made]:
            return run_on_ray(parts, options, out, open_encoder, cluster=cluster, progress=advance)

        return on_ray
    workforce.require_process()
    from ...bulk.local import run_here
    from ...runtime.cpu import this_cpu

    cores = workforce.cores or (this_cpu().cores if open_encoder.device == "cpu" else 1)

    def here(parts: Sequence[BulkPart], options: Options, out: str, advance: Callable[[int], None]) -> Iterator[Made]:
        return run_here(parts, options, out, open_encoder, cores=cores, progress=advance)

    return here


def cluster_of(workforce: Workforce, device: str) -> Cluster:
    """The cluster that the options describe.

    Raises:
        RequestInvalid: --workers is no number, and no MIN:MAX.
    """
    from ...bulk.cluster import Cluster
    from ...runtime.cpu import this_cpu

    cores = workforce.cores or 1
    low, _, high = (workforce.workers or str(max(1, this_cpu().cores // cores))).rpartition(":")
    if not high.isdigit() or not (low or "1").isdigit():
        raise RequestInvalid(field="--workers", reason=f"{workforce.workers!r}; expected a number, or MIN:MAX")
    gpus = workforce.gpus if workforce.gpus is not None else (0.0 if device == "cpu" else 1.0)
    most = int(high)
    return Cluster(address=workforce.address, workers=most, min_workers=int(low or most), cores=cores, gpus=gpus)


def _absolute(uri: str) -> str:
    return uri if "://" in uri else str(Path(uri).absolute())
