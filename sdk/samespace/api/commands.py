"""What the commands do, as functions: `samespace.train(...)`, `samespace.export(...)` and so on.

The command line calls these, and adds what it prints. Each needs the extra that its command needs, and imports it only
when it is called. Nothing is printed here: *say* gets sentences, *progress* counts (`samespace.progress`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigInvalid
from ..extras import require_extra
from ..progress import Progress, silent

if TYPE_CHECKING:
    from samespace_server.settings import Settings

    from ..encoder import Encoder
    from ..evaluation import Dataset, Evaluation
    from ..evaluation.long_texts import Ways
    from ..exporting.package import Exported
    from ..training.adapting.run import Adaptation
    from ..training.doctor import Diagnosis
    from ..training.finetuning.trainer import TrainingRun

Say = Callable[[str], None]
BM25 = "bm25"
"""The word for the baseline by words, where an encoder is named."""
SERVER = ("grpc", "uvloop", "httptools", "orjson", "prometheus_client", "grpc_health", "grpc_reflection")
"""What `serve` imports."""


def unsaid(sentence: str) -> None:
    """A `Say` that keeps it to itself."""


def train(
    source: Path | str,
    out: Path | str | None = None,
    *,
    overrides: Sequence[str] = (),
    teacher: str = "",
    budget_s: float = 900,
    doctor: bool = True,
    progress: Progress = silent,
    say: Say = unsaid,
    diagnosed: Callable[[Diagnosis], None] = lambda _: None,
) -> TrainingRun:
    """Fine-tune an encoder on pairs; a sentence-transformers folder at *out* and the record of the run.

    Args:
        source: a configuration (.toml), or the data itself, by which keys, learning rate and blend are chosen.
        out: folder to write; None for the configuration's.
        overrides: training keys as "KEY=VALUE".
        teacher: cross-encoder or larger encoder to learn from: a folder or a hub name; "" for none.
        budget_s: seconds for trying and training, without a configuration.
        doctor: look at the data first, and stop at errors.
        diagnosed: gets what the doctor says.

    Raises:
        ExtraMissing: without the extra `train`.
        ConfigInvalid: a key is wrong, or the target exists.
        DataInvalid: the data cannot be read, is too little, leaks, or the doctor found an error in it.
        TrainingFailed: the sentinel stopped the run.
    """
    require_extra("train", feature="training", modules=("torch", "sentence_transformers", "datasets", "datasketch"))
    from ..training.finetuning.config import read_config
    from ..training.finetuning.trainer import train as run

    looked: dict[str, Any] = {"doctor": doctor, "diagnosed": diagnosed}
    changes = (*taught(teacher), *overrides)
    if not is_data(source):
        return run(read_config(source, changes, out), progress, say, **looked)
    if out is None:
        raise ConfigInvalid(key="out", reason="is missing; data alone does not say where the model goes")
    from ..folders import folder_beside
    from ..training.choosing.search import choose_run
    from ..training.choosing.splits import with_splits
    from ..training.finetuning.config import parse_override

    data, out = Path(source), Path(out)
    if out.exists():
        raise ConfigInvalid(key="out", reason=f"{out} exists already; name another folder, or remove it")
    with folder_beside(out) as scratch:
        divided, sentence = with_splits(data, scratch / data.resolve().name)
        if sentence:
            say(sentence)
        chosen = choose_run(divided, dict(map(parse_override, changes)) | {"out": out}, budget_s, progress, say)
        return run(chosen.config, progress, say, picked=chosen.picked, **looked)


def is_data(source: Path | str) -> bool:
    """Whether *source* is data, and no configuration."""
    path = Path(source)
    return path.is_dir() or (path.is_file() and path.suffix != ".toml")


def taught(teacher: str) -> list[str]:
    """The keys that a teacher brings; what is set by hand comes after them and wins."""
    if not teacher:
        return []
    return [f"teacher={teacher}", "loss=listwise", "negatives=7", "batch_size=16", "mine=bm25", "mine_every=0"]


def export(
    model: str | Path,
    out: Path | str,
    *,
    name: str | None = None,
    builds: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    transform: Path | str | None = None,
    gate_data: Path | str | None = None,
    gate_split: str = "test",
    calibration_data: Path | str | None = None,
    anyway: bool = False,
    replace: bool = False,
    say: Say = unsaid,
) -> Exported:
    """Turn a checkpoint into a verified artifact at *out*.

    Args:
        model: a sentence-transformers folder, a transformers folder (with a pooling) or a hub name.
        builds: beside fp32: "fp16", "int8" (needs *gate_data*).
        overrides: fields of `model.checkpoint.Overrides`: prompts, pooling, limits.
        transform, gate_data, gate_split, calibration_data, anyway, replace: see `export.request.ExportRequest`.

    Returns:
        The artifact, a report of each build, and in `refused` why builds are left out.

    Raises:
        ExtraMissing: without the extra `train`.
        ModelUnsupported: the model cannot be read, or not be exported faithfully.
        GateFailed: the fp32 build does not agree with torch: nothing is written.
    """
    require_for_export()
    from ..exporting.request import ExportRequest, export_model
    from ..model.checkpoint import Overrides

    wanted = ExportRequest(
        model=str(model),
        out=Path(out),
        name=name,
        builds=tuple(builds),
        overrides=Overrides(**(overrides or {})),
        transform=_path(transform),
        gate_data=_path(gate_data),
        gate_split=gate_split,
        calibration_data=_path(calibration_data),
        anyway=anyway,
        replace=replace,
    )
    return export_model(wanted, say=say)


def require_for_export() -> None:
    """Raise `ExtraMissing` for what `export` needs and is not installed; imports nothing."""
    require_extra("train", feature="export", modules=("torch", "transformers", "onnx", "onnxscript"))
    require_extra("cpu", feature="export", modules=("onnxruntime",))


def evaluate(
    encoder: Encoder | str | Path,
    data: Dataset | str | Path,
    *,
    split: str = "test",
    long_texts: Ways = "auto",
    identical_ids: Literal["auto", "keep", "ignore"] = "auto",
    overrides: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    say: Say = unsaid,
) -> Mapping[str, Evaluation]:
    """Score an encoder, or "bm25", on a retrieval set; by the way long texts were scored, the asked one first.

    Args:
        encoder: one that is open, an artifact, a model folder, a hub name, a server's host:port, or "bm25".
        data: a folder in the BEIR layout, or what `train` takes.
        overrides: prompts, pooling and limits, for model folders and hub names.

    Raises:
        DataInvalid: the data cannot be read, or the split has no judged query.
        SamespaceError: the encoder cannot be used, or an extra for it is missing.
    """
    from ..encoder import Encoder
    from ..evaluation import Bm25Ranker, Dataset
    from ..evaluation import evaluate as score_ranker
    from ..evaluation.long_texts import evaluate_long
    from .named import open_encoder

    dataset = data if isinstance(data, Dataset) else read_dataset(data, split, identical_ids)
    passages, queries = len(dataset.passages), len(dataset.queries)
    about = f"{dataset.name}: {queries} queries of {dataset.split}, {passages} passages"
    if encoder == BM25:
        say(f"bm25 on {about}")
        with progress("texts", passages + queries) as advance:
            return {BM25: score_ranker(Bm25Ranker(), dataset, progress=advance)}
    opened = encoder if isinstance(encoder, Encoder) else open_encoder(str(encoder), overrides)
    try:
        by = f" ({opened.computed_by})" if opened.computed_by else ""
        say(f"{opened.name}{by} on {about}")
        with progress("texts", passages + queries) as advance:
            found = evaluate_long(opened, dataset, long_texts, advance)
        opened.confirm()
        return found
    finally:
        if opened is not encoder:
            opened.close()


def read_dataset(
    data: Path | str, split: str = "test", identical_ids: Literal["auto", "keep", "ignore"] = "auto"
) -> Dataset:
    """A split of a BEIR folder, or of any other source of pairs."""
    from ..evaluation import load_dataset
    from ..evaluation.dataset import is_retrieval_set

    folder = Path(data)
    if not folder.exists() or (folder.is_dir() and is_retrieval_set(folder)):
        return load_dataset(folder, split, identical_ids=identical_ids)
    from ..training.data.retrieval_set import as_dataset
    from ..training.data.sources import load_data

    return as_dataset(load_data(folder), split)


def adapt(
    documents: Path | str,
    out: Path | str,
    *,
    base: str = "sentence-transformers/all-MiniLM-L6-v2",
    teacher: str = "",
    generator: str = "",
    generator_model: str = "",
    generator_most: int = 400,
    queries: Path | str | None = None,
    judged: Path | str | None = None,
    judged_split: str = "",
    budget_s: float = 900,
    steps: int = 0,
    rate: float = 2e-5,
    seed: int = 1,
    anyway: bool = False,
    cache: Path | str | None = None,
    progress: Progress = silent,
    say: Say = unsaid,
) -> Adaptation:
    """Adapt an encoder to documents, without labels; nothing is written where it is not better (`Adaptation.better`).

    Args:
        documents: a file of rows, a folder of them, a BEIR folder, or a folder of Markdown, HTML or text.
        base and what follows it: see `AdaptSettings`.
        progress, say: get how far it is, and news in sentences.

    Raises:
        ExtraMissing: without the extra `train`.
        ConfigInvalid: the target exists, or a setting is wrong.
        DataInvalid: the documents cannot be read, or give too few questions to tell better from worse.
    """
    require_extra("train", feature="adapting", modules=("torch", "sentence_transformers", "datasets", "datasketch"))
    from ..training.adapting.run import AdaptSettings
    from ..training.adapting.run import adapt as run

    settings = AdaptSettings(
        documents=Path(documents), base=base, out=Path(out), teacher=teacher, generator=generator,
        generator_model=generator_model, generator_most=generator_most, queries=_path(queries), judged=_path(judged),
        judged_split=judged_split, budget_s=budget_s, steps=steps, rate=rate, seed=seed, anyway=anyway,
        cache=_path(cache),
    )  # fmt: skip
    return run(settings, progress, say)


def serve(
    *artifacts: Path | str,
    http_port: int = 8080,
    grpc_port: int = 8081,
    settings: Settings | None = None,
    announce: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> int:
    """Serve artifacts over gRPC and HTTP until SIGTERM; 0 if every accepted request was answered, else 1.

    Args:
        http_port, grpc_port: on 127.0.0.1; 0 for a free one.
        settings: everything else too (`samespace_server.settings.Settings`), in place of the others.
        announce: gets what the ready line says: ports and spaces.

    Raises:
        ExtraMissing: without the extra `server`.
        ArtifactError, BuildError: an artifact cannot be trusted, or computes other vectors here.
        ConfigInvalid: a port is taken, or two artifacts are of one space.
    """
    require_extra("server", feature="samespace serve", modules=SERVER)
    from samespace_server.app import run
    from samespace_server.settings import Settings

    if settings is None:
        settings = Settings(artifacts=tuple(map(Path, artifacts)), http_port=http_port, grpc_port=grpc_port)
    return run(settings, announce)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)
