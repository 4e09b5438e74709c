"""`samespace quickstart`: the whole path once, on real input, thin but real.

Each step is the same call that the separate commands make. It leaves a folder with the data, the model, the
artifact and a report, and prints how to go on from there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..demo.server_process import RunningServer, running_server
from ..errors import DataInvalid, ProbesFailed, RequestInvalid, ServerUnavailable, WeaviateError, short
from ..extras import require_extra
from .console import one_line, progress, quiet_libraries, say, table

if TYPE_CHECKING:
    from ..artifact import Artifact
    from ..evaluation import Comparison, Dataset, Evaluation
    from ..vectors import Vectors

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2"
COLLECTION: Final = "SamespaceQuickstart"
_MARKER: Final = "quickstart.json"
_STEPS: Final = 9
_EXAMPLES: Final = 3
_SIGNIFICANT: Final = 0.05


@dataclass
class _Progress:
    """Which step is running, and how long each took."""

    began: float = field(default_factory=time.monotonic)
    step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = 0.0
    _name: str = ""

    def next(self, name: str, sentence: str) -> None:
        self._finish()
        self.step, self._name, self._since = self.step + 1, name, time.monotonic()
        say(f"\n[{self.step}/{_STEPS}] {sentence}")

    def done(self) -> float:
        self._finish()
        return time.monotonic() - self.began

    def _finish(self) -> None:
        if self._name:
            self.seconds[self._name] = round(time.monotonic() - self._since, 1)
            say(f"      ({self.seconds[self._name]:.0f} s)")


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), help="A BEIR folder; made of installed documentation unless given."
)
@click.option("--base", default=MINILM, show_default=True, help="Model folder or hub name to start from.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("quickstart"), show_default=True, help="What is left."
)
@click.option(
    "--weaviate",
    "weaviate_mode",
    type=click.Choice(["auto", "url", "embedded", "off"]),
    default="auto",
    show_default=True,
    help="auto: WEAVIATE_URL if set, else an embedded server, else local search.",
)
@click.option("--reach-host", default="127.0.0.1", show_default=True, help="How Weaviate reaches this machine.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A key of the training configuration.")
def quickstart(
    data: Path | None, base: str, out: Path, weaviate_mode: str, reach_host: str, overrides: tuple[str, ...]
) -> None:
    """The whole path once, from data to Weaviate.

    Makes a retrieval set, trains an encoder on it, exports it, serves it, puts it behind a pinned Weaviate
    collection, shows that another encoder is kept out, and scores it beside BM25 and the untouched base.
    Takes a few minutes on two CPU cores.

    \b
    Example:
      samespace quickstart
      samespace quickstart --data data/scifact --out runs/scifact --weaviate off
    """
    require_extra("train", feature="quickstart", modules=("torch", "transformers", "sentence_transformers", "onnx"))
    require_extra("server", feature="quickstart", modules=("grpc", "uvloop", "httptools"))
    quiet_libraries()
    from ..evaluation import Bm25Ranker, load_dataset, splits
    from ..export.package import export_artifact
    from ..export.provenance import training_record
    from ..model.checkpoint import load_checkpoint

    steps, folder = _Progress(), _prepare(out)

    if data is None:
        steps.next("data", "Making a retrieval set of the documentation of the Python packages installed here.")
        data = _pydoc(folder / "pydoc")
    else:
        steps.next("data", f"Reading the retrieval set in {data}.")
    held_out, gate_split = _splits(data, splits(data))
    dataset = load_dataset(data, held_out)
    say(f"      {len(dataset.passages)} passages; {len(dataset.queries)} held-out queries ({held_out}).")

    steps.next("base", f"Loading the base encoder {base} and exporting it untouched, to compare with.")
    base_artifact = export_artifact(load_checkpoint(base), folder / "base", name="base").artifact
    say(f"      space {short(base_artifact.space_id)}, {base_artifact.manifest.identity.dims} dims.")

    steps.next("before", "Scoring BM25 and the untouched encoder on the held-out queries.")
    bm25 = _scored("BM25", Bm25Ranker(), dataset)
    before, foreign = _score_base(base_artifact, dataset)

    steps.next("train", "Fine-tuning: each query against the passages of its batch, never two of the same.")
    model = _train(data, base, folder / "model", overrides)

    steps.next("export", "Exporting to ONNX: fp32, and int8 if it loses less than half a point of nDCG@10.")
    exported = export_artifact(
        load_checkpoint(model),
        folder / "artifact",
        name=data.resolve().name,
        builds=("fp32", "int8"),
        gate=load_dataset(data, gate_split),
        provenance=training_record(model),
        say=lambda sentence: say(f"      {sentence}"),
    )
    artifact = exported.artifact
    for report in exported.reports:
        say(
            f"      {report.build} on {report.measured.runtime}: worst 1 - cos {report.measured.worst:.1e}, "
            f"{report.texts_per_s:.0f} texts/s"
        )
    say(f"      space {artifact.space_id}")

    steps.next("serve", "Starting the server, in a process that cannot import torch, and checking its vectors.")
    bind = "127.0.0.1" if reach_host in ("127.0.0.1", "localhost") else "0.0.0.0"
    with running_server([artifact.folder], folder / "server.log", host=bind) as server:
        _check_server(server, artifact)

        steps.next("weaviate", "Putting it behind a pinned Weaviate collection, and trying to get another space in.")
        address = f"http://{reach_host}:{server.ready['http_port']}"
        examples = dataset.queries[:: max(1, len(dataset.queries) // _EXAMPLES)][:_EXAMPLES]
        found = _weaviate(weaviate_mode, folder, server, address, artifact, data, foreign, examples)

        steps.next("after", "Scoring the fine-tuned encoder through the running server.")
        after = _score_served(server, dataset)

    comparisons = _compare(after, {"BM25": bm25, "untouched": before})
    rows = [_row("BM25", bm25), _row("untouched base", before), _row("fine-tuned", after, comparisons)]
    click.echo()
    click.echo(table(["on held-out queries", "nDCG@10", "recall@100", "MRR@10", "p vs BM25", "p vs base"], rows))
    click.echo(_verdict(comparisons))
    if found is None:
        found = _local_examples(examples, dataset, after)
    for query, hits in found:
        click.echo(f"\n  {query}")
        for rank, text in enumerate(hits, start=1):
            click.echo(f"    {rank}. {one_line(text, indent=7)}")

    steps.next("report", "Writing the report.")
    seconds = steps.done()
    record = {
        "data": dataset.name,
        "base": base,
        "space_id": artifact.space_id,
        "scores": {name: each.score.to_json() for name, each in (("bm25", bm25), ("before", before), ("after", after))},
        "comparisons": {name: comparison.to_json() for name, comparison in comparisons.items()},
        "refused_builds": [str(error) for error in exported.refused],
        "seconds": {**steps.seconds, "total": round(seconds, 1)},
    }
    (folder / _MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _print_next(data, artifact, seconds)


def _prepare(out: Path) -> Path:
    """*out*, empty: what an earlier quickstart left there is removed, anything else is not touched."""
    if out.exists() and any(out.iterdir()):
        if not (out / _MARKER).exists():
            raise RequestInvalid(field="--out", reason=f"{out} has other things in it; name a new folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    # Written first, so that a run that was broken off can be repeated.
    (out / _MARKER).write_text("{}\n", encoding="utf-8")
    return out


def _pydoc(folder: Path) -> Path:
    from ..demo.pydoc_set import installed_packages, make_pydoc_set

    packages = installed_packages()
    with progress("packages", len(packages)) as advance:
        made = make_pydoc_set(folder, packages=packages, progress=advance)
    pairs = ", ".join(f"{count} {split}" for split, count in made.pairs.items())
    say(f"      {pairs} pairs of {len(made.packages)} packages; no near-duplicates across splits.")
    return made.folder


def _splits(data: Path, found: tuple[str, ...]) -> tuple[str, str]:
    """The split that scores are made on, and the one that builds are gated on: never the same."""
    if "train" not in found or not {"test", "dev"} & set(found):
        raise DataInvalid(
            path=str(data), reason=f"has splits {', '.join(found) or 'none'}; needed are train and test (or dev)"
        )
    if "test" in found:
        return "test", "dev" if "dev" in found else "train"
    return "dev", "train"


def _scored(name: str, ranker: Any, dataset: Dataset) -> Evaluation:
    from ..evaluation import evaluate

    with progress(name, len(dataset.queries) + len(dataset.passages)) as advance:
        scored = evaluate(ranker, dataset, progress=advance)
    say(f"      {name}: nDCG@10 {scored.score.ndcg_10:.3f}")
    return scored


def _score_base(artifact: Artifact, dataset: Dataset) -> tuple[Evaluation, Vectors]:
    """The base's score, and a vector of its space: the stranger that is kept out later."""
    from ..encoder import Encoder
    from ..evaluation import DenseRanker

    with Encoder.load(artifact) as encoder:
        return _scored("untouched", DenseRanker(encoder), dataset), encoder.encode(dataset.queries[:1], "query")


def _train(data: Path, base: str, out: Path, overrides: tuple[str, ...]) -> Path:
    from ..training.finetuning.config import read_config
    from ..training.finetuning.trainer import train

    recipe = Path(__file__).parents[1] / "demo" / "quickstart.toml"
    config = read_config(recipe, [*overrides, f"data={data}", f"base={base}"], out)
    record = train(config, progress).record
    losses, vitals = record["loss"], record["sentinel"]["train"]
    say(
        f"      {record['steps']} steps in {record['precision']}; loss {losses[0]:.2f} to {losses[-1]:.2f} "
        f"(telling nothing apart: {record['loss_of_guessing']:.2f}); effective rank "
        f"{vitals[0]['effective_rank']:.0f} to {vitals[-1]['effective_rank']:.0f}."
    )
    return out


def _check_server(server: RunningServer, artifact: Artifact) -> None:
    """The probes over gRPC and over HTTP, against the artifact's reference vectors."""
    import numpy as np

    from ..encoder import Encoder
    from ..web import WebClient

    probes = artifact.probes()
    (space,) = server.ready["spaces"]
    build = artifact.manifest.build(space["build"])
    assert build is not None
    bound = next(each.bound for each in build.measured if space["runtime"].startswith(each.runtime))
    vectors = np.empty_like(probes.vectors)
    with Encoder.connect(server.grpc) as encoder:
        for role in ("query", "passage"):
            rows = [row for row, each in enumerate(probes.roles) if each == role]
            vectors[rows] = encoder.encode([probes.texts[row] for row in rows], role)
    worst = {"gRPC": probes.worst(vectors)}
    with WebClient(f"{server.http}/e/{artifact.space_id}") as web:
        for row, (text, role) in enumerate(zip(probes.texts, probes.roles, strict=True)):
            reply = web.ask("POST", "/vectors", body={"text": text, "config": {"task_type": role}})
            if reply.status != 200:
                raise ServerUnavailable(address=web.address, reason=f"status {reply.status}: {reply.text()}")
            vectors[row] = reply.json()["vector"]
    worst["HTTP"] = probes.worst(vectors)
    for protocol, distance in worst.items():
        if not distance <= bound:
            raise ProbesFailed(build=build.name, runtime=f"the server over {protocol}", worst=distance, bound=bound)
        say(f"      {len(probes.texts)} probes over {protocol}: worst 1 - cos {distance:.1e}, bound {bound:.1e}")
    say(f"      it runs build {space['build']} on {space['runtime']}.")


def _weaviate(
    mode: str,
    folder: Path,
    server: RunningServer,
    address: str,
    artifact: Artifact,
    data: Path,
    foreign: Vectors,
    examples: tuple[str, ...],
) -> list[tuple[str, list[str]]] | None:
    """Create, import, search and try to mix; the examples' hits, or None where there is no Weaviate."""
    require_extra("weaviate", feature="quickstart with Weaviate (or say --weaviate off)", modules=("weaviate",))
    from samespace.demo.tour import show_refusals
    from samespace_weaviate import CollectionSpec, PinnedCollection, create
    from samespace_weaviate.access.address import NoWeaviate, find_weaviate
    from samespace_weaviate.access.client import Store
    from samespace_weaviate.importing.sources import count_passages, read_passages
    from samespace_weaviate.pinning.pin import read_pins

    from ..encoder import Encoder

    where = find_weaviate(mode, os.environ)  # type: ignore[arg-type]
    if isinstance(where, NoWeaviate):
        say(f"      No Weaviate: {where}. Going on with exact local search over the same vectors.")
        return None
    with Store.open(where, folder / "weaviate") as store, Encoder.connect(server.grpc) as encoder:
        say(f"      {where}, version {store.version}.")
        if (schema := store.schema(COLLECTION)) is not None:
            if not read_pins(schema):
                raise WeaviateError(f"{where}: collection {COLLECTION} is not a quickstart's; rename or remove it")
            say(f"      Removing collection {COLLECTION} of an earlier quickstart.")
            store.delete_collection(COLLECTION)
        spec = CollectionSpec(COLLECTION, artifact.space_id, address, encoder_name=artifact.manifest.name)
        create(store, spec)
        say(f"      Collection {COLLECTION}: vector {spec.vector_name}, encoder {spec.inference_url}")
        collection = PinnedCollection.open(store, COLLECTION, encoder)
        with progress("objects", count_passages(data)) as advance:
            report = collection.import_passages(read_passages(data), progress=advance)
        for sentence in report.sentences():
            say(f"      {sentence}")
        if report.failed:
            raise DataInvalid(path=str(data), reason=f"{len(report.failed)} objects were not written")
        found = [
            (query, [str(hit.properties[collection.text_property]) for hit in collection.search(query, _EXAMPLES)])
            for query in examples
        ]
        say("      near_text works through Weaviate's module. Now another encoder of the same dims tries:")
        for refusal in show_refusals(store, collection, server.http, foreign):
            say(f"      - {refusal.attempt}: refused by {refusal.by}\n        {refusal.message}")
        return found


def _score_served(server: RunningServer, dataset: Dataset) -> Evaluation:
    from ..encoder import Encoder
    from ..evaluation import DenseRanker

    with Encoder.connect(server.grpc) as encoder:
        return _scored("fine-tuned", DenseRanker(encoder), dataset)


def _compare(after: Evaluation, others: dict[str, Evaluation]) -> dict[str, Comparison]:
    from ..evaluation import paired_bootstrap

    return {
        name: paired_bootstrap(after.per_query["ndcg@10"], other.per_query["ndcg@10"]) for name, other in others.items()
    }


def _row(name: str, evaluation: Evaluation, comparisons: dict[str, Comparison] | None = None) -> list[str]:
    score = evaluation.score
    p_values = [f"{comparison.p_value:.4f}" for comparison in comparisons.values()] if comparisons else ["", ""]
    return [name, f"{score.ndcg_10:.3f}", f"{score.recall_100:.3f}", f"{score.mrr_10:.3f}", *p_values]


def _verdict(comparisons: dict[str, Comparison]) -> str:
    sentences = []
    for name, comparison in comparisons.items():
        points = f"{100 * comparison.mean:+.1f} points of nDCG@10 against {name}"
        interval = f"95 % interval {100 * comparison.low:+.1f} to {100 * comparison.high:+.1f}"
        word = "significant" if comparison.p_value < _SIGNIFICANT else "NOT significant"
        sentences.append(f"{points} ({interval}; {word}, paired bootstrap, p = {comparison.p_value:.4f}).")
    return "\n".join(sentences)


def _local_examples(examples: tuple[str, ...], dataset: Dataset, after: Evaluation) -> list[tuple[str, list[str]]]:
    """The examples' best passages from the exact search that was scored."""
    rows = [dataset.queries.index(query) for query in examples]
    return [
        (query, [dataset.passages[passage] for passage in after.run.rows[row][:_EXAMPLES] if passage >= 0])
        for query, row in zip(examples, rows, strict=True)
    ]


def _print_next(data: Path, artifact: Artifact, seconds: float) -> None:
    click.echo(f"\nDone in {seconds / 60:.1f} minutes. The artifact is {artifact.folder}. From here:")
    if shutil.which("samespace") is None:
        click.echo(f"\n  . {Path(sys.executable).parent / 'activate'}")
    click.echo(
        f"""
  samespace inspect {artifact.folder}
  samespace serve {artifact.folder}                    # HTTP on 8080 for Weaviate, gRPC on 8081
  samespace weaviate create Article --encoder {artifact.folder} --server http://ENCODER_HOST:8080
  samespace weaviate import Article {data} --encoder ENCODER_HOST:8081

Weaviate itself needs ENABLE_MODULES=text2vec-transformers and TRANSFORMERS_INFERENCE_API=http://ENCODER_HOST:8080.
"""
    )
