"""Export: a checkpoint in, one verified artifact out.

Everything is computed and gated first; the folder is written last and whole (`artifact.layout`), so a killed
export leaves nothing that could be taken for an artifact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..artifact import Artifact, Build, FileEntry, Manifest, write_artifact
from ..artifact import manifest as manifests
from ..artifact.layout import check_target
from ..errors import BuildError, RequestInvalid, SamespaceError
from ..folders import require_room, writes
from ..model.checkpoint import Checkpoint
from ..model.exportable import BringsGraph
from .builds.calibration import Calibration, load_calibration
from .builds.exact import BUILDS, BuildFile, build_bf16, build_fp16, build_fp32
from .builds.gate import BuildReport, speed_reports
from .builds.int8 import build_int8
from .builds.original import check_original
from .builds.parity import ParityReference, reference
from .card import model_card
from .provenance import not_better, public_name, record_of, require_better

if TYPE_CHECKING:
    from ..evaluation import Dataset

Say = Callable[[str], None]
README: Final = "README.md"
_BYTES_OF: Final = {"fp32": 4, "fp16": 2, "int8": 1}  # of a weight; bf16 is the fp32 file


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export left.

    Attributes:
        reports: one for each build and runtime.
        refused: why builds that were asked for are not in the artifact.
        fallbacks: why a build that is there was not made in the better way, or is not claimed for some runtime.
    """

    artifact: Artifact
    reports: tuple[BuildReport, ...]
    refused: tuple[SamespaceError, ...]
    fallbacks: tuple[SamespaceError, ...] = ()


@dataclass(frozen=True, slots=True)
class _Builds:
    """What passed its gate, and why others did not; see `Exported`."""

    made: tuple[BuildFile, ...]
    refused: tuple[SamespaceError, ...]
    fallbacks: tuple[SamespaceError, ...]


@writes("out")
def export_artifact(
    checkpoint: Checkpoint | BringsGraph,
    out: Path | str,
    *,
    name: str | None = None,
    builds: tuple[str, ...] = ("fp32",),
    gate: Dataset | None = None,
    calibration: Calibration | None = None,
    anyway: bool = False,
    replace_existing: bool = False,
    provenance: Mapping[str, Any] | None = None,
    say: Say = lambda _: None,
) -> Exported:
    """Export *checkpoint* into the folder *out*.

    Args:
        name: display name; the folder's name unless given. Not part of the space id.
        builds: "fp32" is always written, "bf16" (the same file) wherever it passes; "fp16" where wanted; "int8" where
            wanted, with *gate*.
        gate: the retrieval set whose nDCG@10 lossy builds may not lose on.
        calibration: texts that int8 is scaled with; sampled from the gate's set unless given.
        anyway: export also an encoder that its training record calls not better than its base.
        provenance: facts about the checkpoint's making, kept in the manifest beside its training record.
        say: gets a sentence before each step.

    Raises:
        RequestInvalid: an unknown build, int8 without gate data, or the encoder is not better than its base.
        GateFailed: the fp32 build does not agree with torch: nothing is written.
        ArtifactError: *out* is taken.
    """
    check_builds(builds, gate)
    target = Path(out)
    check_target(target, replace=replace_existing)
    facts = record_of(checkpoint) | dict(provenance or {})
    require_better(facts, checkpoint.source, anyway=anyway)
    for note in filter(None, [not_better(facts), facts.get("record_note")]):
        say(f"Note: {note}.")
    if isinstance(checkpoint, Checkpoint):
        facts |= _told(checkpoint, say)
    require_room(target, _numbers(checkpoint) * sum(_BYTES_OF.get(build, 0) for build in builds))
    say(f"Computing the reference vectors with {checkpoint.reference}.")
    wanted = reference(checkpoint)
    built = _build_all(checkpoint, wanted, builds, gate, calibration, say)
    reports = tuple(report for build in built.made for report in speed_reports(build, wanted))
    say("Writing the artifact.")
    facts = _made_from(checkpoint, built) | facts
    artifact = _write(checkpoint, wanted, built, target, name or target.name, facts, replace_existing)
    return Exported(artifact, reports, built.refused, built.fallbacks)


def _numbers(checkpoint: Checkpoint | BringsGraph) -> int:
    return sum(math.prod(weight.shape) for weight in checkpoint.identity.weights)


def _told(checkpoint: Checkpoint, say: Say) -> dict[str, Any]:
    """Hold the checkpoint against the original folder, and say what of that is not used; for provenance."""
    for sentence in filter(None, [checkpoint.advice, _unused(checkpoint.notes)]):
        say(sentence)
    say("Comparing the model with what sentence-transformers makes of its folder.")
    original = check_original(checkpoint)
    if not original.reference:
        say(f"No reference but our own: {original.reason}.")
    if original.advice:
        say(original.advice)
    notes = {"not_used": list(checkpoint.notes)} if checkpoint.notes else {}
    return {"original": original.to_json(), **notes, **({"advice": checkpoint.advice} if checkpoint.advice else {})}


def _unused(notes: Sequence[str]) -> str:
    return f"Not used, because it changes no vector: {', '.join(notes)}." if notes else ""


def check_builds(builds: Sequence[str], gate: Dataset | None) -> None:
    """Raise `RequestInvalid` for a build that is not known, and for int8 without data to measure its loss on."""
    unknown = sorted(set(builds) - set(BUILDS))
    if unknown:
        raise RequestInvalid(field="build", reason=f"{', '.join(unknown)}; known: {', '.join(BUILDS)}")
    if "int8" in builds and gate is None:
        raise RequestInvalid(
            field="build", reason="int8 loses accuracy, so it needs data to measure the loss on: --gate-data DIR"
        )


def _build_all(
    checkpoint: Checkpoint | BringsGraph,
    wanted: ParityReference,
    builds: tuple[str, ...],
    gate: Dataset | None,
    calibration: Calibration | None,
    say: Say,
) -> _Builds:
    """fp32, which has to pass, and the others as far as they do."""
    fp32 = build_fp32(checkpoint, wanted, say)
    made, refused, fallbacks = [fp32], list[SamespaceError](), tuple[SamespaceError, ...]()
    if (bf16 := build_bf16(fp32, wanted)) is not None:
        made.append(bf16)
    if "fp16" in builds:
        say("Converting to fp16.")
        try:
            made.append(build_fp16(fp32, wanted))
        except BuildError as error:
            refused.append(error)
            say(str(error))
    if "int8" in builds:
        assert gate is not None
        texts = calibration or load_calibration(gate.folder, gate=gate)
        say(f"Quantising to int8 with {len(texts.texts)} texts ({texts.name}); its loss is measured on {gate.name}.")
        int8 = build_int8(fp32, wanted, texts, gate, say=say)
        if int8.build is None:
            refused.extend(int8.failed)
        else:
            made.append(int8.build)
            fallbacks = int8.failed
    return _Builds(tuple(made), tuple(refused), fallbacks)


def _made_from(checkpoint: Checkpoint | BringsGraph, built: _Builds) -> dict[str, Any]:
    """What provenance says of every export."""
    return {
        "source": public_name(checkpoint.source),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: version(package) for package in ("torch", "transformers", "onnx", "onnxscript")},
        **{build.name: dict(build.method) for build in built.made if build.method},
        **({"transform": checkpoint.transform.record()} if checkpoint.transform else {}),
    }


def _write(
    checkpoint: Checkpoint | BringsGraph,
    wanted: ParityReference,
    built: _Builds,
    target: Path,
    name: str,
    facts: Mapping[str, Any],
    replace_existing: bool,
) -> Artifact:
    def manifest(files: Mapping[str, FileEntry]) -> Manifest:
        return Manifest(
            name=name,
            identity=checkpoint.identity,
            files=files,
            builds=tuple(Build(build.name, build.file, build.opset, build.measured) for build in built.made),
            provenance=facts,
        )

    files: dict[str, Path | bytes] = {build.file: build.data for build in built.made}
    files[manifests.TOKENIZER] = checkpoint.tokenizer
    files[manifests.PROBES] = wanted.probes.to_bytes()
    card = model_card(name, checkpoint, built.made, (*built.refused, *built.fallbacks), facts)
    files[README] = card.encode("utf-8")
    return write_artifact(target, files, manifest, replace=replace_existing)
