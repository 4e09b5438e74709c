"""Export of a reranker: a cross-encoder in, one verified artifact of its own kind out.

Its logits are held against sentence-transformers' CrossEncoder on the original folder, with its own tokenizer, and its
scores too, so that an activation that was misread is seen. Then the graph is held against torch, as an encoder's is.

Only fp32: what int8 may lose in the order of passages has no gate yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from ..artifact import Build, FileEntry, Manifest, write_artifact
from ..artifact import manifest as manifests
from ..artifact.layout import check_target
from ..artifact.probes import pair_probes
from ..artifact.reranker import RerankerIdentity
from ..embed import Model
from ..errors import GateFailed, RequestInvalid
from ..folders import require_room, writes
from ..model.quiet import quiet
from ..model.reranker import HARD_PAIRS, RerankerCheckpoint
from ..reranking.pairs import PairEncoder, activated, pair_text
from ..text import Recipe, Role
from ..vectors import Float32
from .builds.exact import build_fp32
from .builds.gate import speed_reports
from .builds.original import OriginalCheck
from .builds.parity import reference
from .graph import OPSETS, graph_of_checkpoint
from .hub_header import header, origin_of
from .package import README, Exported, Say
from .provenance import public_name

GATE: Final = 1e-5
"""The largest |a - b| / (1 + |b|) between our module's logits and sentence-transformers', both in fp32."""


@dataclass(frozen=True)
class RerankerExport:
    """A cross-encoder as the builds see it: an encoder of one number that brings its graph."""

    checkpoint: RerankerCheckpoint

    reference = "torch fp32"
    transform = None
    dims = 1
    opsets = OPSETS

    @property
    def source(self) -> str:
        return self.checkpoint.source

    @property
    def tokenizer(self) -> bytes:
        return self.checkpoint.tokenizer

    @property
    def vocabulary(self) -> int:
        return self.checkpoint.vocabulary

    @property
    def recipe(self) -> Recipe:
        return self.checkpoint.recipe

    @property
    def text_encoder(self) -> PairEncoder:
        return self.checkpoint.text_encoder

    @property
    def model(self) -> Model:
        return self.checkpoint.model

    @property
    def identity(self) -> RerankerIdentity:
        return self.checkpoint.identity

    def graph(self, opset: int) -> bytes:
        """The bytes of an fp32 ONNX file; raises `ModelUnsupported` where torch does not export it."""
        return graph_of_checkpoint(self.checkpoint, opset, output="logits")


@writes("out")
def export_reranker(
    checkpoint: RerankerCheckpoint,
    out: Path | str,
    *,
    name: str | None = None,
    builds: tuple[str, ...] = ("fp32",),
    replace_existing: bool = False,
    say: Say = lambda _: None,
) -> Exported:
    """Export *checkpoint* into the folder *out*.

    Raises:
        RequestInvalid: a build other than fp32.
        GateFailed: it does not agree with sentence-transformers, or its graph does not agree with torch.
        ArtifactError: *out* is taken.
    """
    if set(builds) != {"fp32"}:
        raise RequestInvalid(field="build", reason=f"{', '.join(builds)}; a reranker has fp32 alone")
    target = Path(out)
    check_target(target, replace=replace_existing)
    require_room(target, 4 * sum(math.prod(weight.shape) for weight in checkpoint.identity.weights))
    say("Comparing the scores with those of sentence-transformers' CrossEncoder on the folder.")
    original = check_cross_encoder(checkpoint)
    if not original.reference:
        say(f"No reference but our own: {original.reason}.")
    encoder = RerankerExport(checkpoint)
    texts = tuple(pair_text(*pair) for pair in pair_probes(checkpoint.recipe))
    roles: tuple[Role, ...] = tuple("passage" for _ in texts)
    wanted = reference(encoder, texts, roles)
    built = build_fp32(encoder, wanted, say)
    reports = tuple(speed_reports(built, wanted))
    say("Writing the artifact.")
    facts = _facts(checkpoint, original)
    title = name or target.name

    def manifest(files: Mapping[str, FileEntry]) -> Manifest:
        build = Build(built.name, built.file, built.opset, built.measured)
        return Manifest(name=title, identity=checkpoint.identity, files=files, builds=(build,), provenance=facts)

    files: dict[str, Path | bytes] = {
        built.file: built.data,
        manifests.TOKENIZER: checkpoint.tokenizer,
        manifests.PROBES: wanted.probes.to_bytes(),
        README: _card(title, checkpoint).encode("utf-8"),
    }
    artifact = write_artifact(target, files, manifest, replace=replace_existing)
    return Exported(artifact, reports, ())


def check_cross_encoder(checkpoint: RerankerCheckpoint) -> OriginalCheck:
    """Hold logits and scores against sentence-transformers' CrossEncoder on the original folder.

    Raises:
        GateFailed: a pair has another logit or score.
    """
    pairs = _fitting(checkpoint)
    try:
        theirs = _cross_encoder(checkpoint)
        prompts = checkpoint.recipe.prompts
        read = [(prompts["query"] + query, prompts["passage"] + passage) for query, passage in pairs]
        wanted = {raw: _predict(theirs, read, raw=raw) for raw in (True, False)}
    except (ImportError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        return OriginalCheck("", reason=f"sentence-transformers cannot load it: {type(error).__name__}: {error}"[:300])
    from ..embed import embed_texts

    texts = [pair_text(*pair) for pair in pairs]
    logits = embed_texts(checkpoint.model, checkpoint.text_encoder, texts, "passage", dims=1).vectors
    found: dict[bool, Any] = {True: logits, False: activated(logits, checkpoint.activation)}
    worst = 0.0
    for raw, measure in ((True, "logits"), (False, "scores")):
        distances = checkpoint.identity.distance(found[raw], wanted[raw])
        here = float(distances.max()) if np.isfinite(wanted[raw]).all() else 2.0
        if not here <= GATE:
            raise GateFailed(
                build="the cross-encoder as it was read",
                measure=f"|a - b| / (1 + |b|) of its {measure} to sentence-transformers on the original folder",
                measured=here, gate=GATE,
            )  # fmt: skip
        worst = max(worst, here)
    return OriginalCheck(f"sentence-transformers {version('sentence-transformers')}", worst, len(pairs))


def _cross_encoder(checkpoint: RerankerCheckpoint) -> Any:
    from sentence_transformers import CrossEncoder

    with quiet("sentence_transformers", "transformers"):
        return CrossEncoder(
            str(checkpoint.folder), device="cpu", trust_remote_code=False, model_kwargs={"dtype": torch.float32}
        )


def _predict(model: Any, pairs: list[tuple[str, str]], *, raw: bool) -> Float32:
    """(pairs, 1): what it gives for each, one by one, so that padding plays no part."""
    chosen = {"activation_fn": torch.nn.Identity()} if raw else {}
    with quiet("sentence_transformers", "transformers"):
        said = model.predict(list(pairs), batch_size=1, show_progress_bar=False, **chosen)
    return np.asarray(said, dtype=np.float32)[:, None]


def _fitting(checkpoint: RerankerCheckpoint) -> list[tuple[str, str]]:
    """Pairs that are one model input: it cuts longer ones off."""
    pairs = [*HARD_PAIRS, *pair_probes(checkpoint.recipe)]
    prompts = checkpoint.recipe.prompts
    read = [(prompts["query"] + query, prompts["passage"] + passage) for query, passage in pairs]
    lengths = [len(each.ids) for each in checkpoint.text_encoder.tokenizer.encode_batch(read)]
    return [pair for pair, length in zip(pairs, lengths, strict=True) if length <= checkpoint.recipe.token_limit]


def _facts(checkpoint: RerankerCheckpoint, original: OriginalCheck) -> dict[str, Any]:
    return {
        "source": public_name(checkpoint.source),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: version(package) for package in ("torch", "transformers", "onnx", "onnxscript")},
        "original": original.to_json(),
        **({"not_used": list(checkpoint.notes)} if checkpoint.notes else {}),
    }


def _card(name: str, checkpoint: RerankerCheckpoint) -> str:
    recipe = checkpoint.recipe
    top = header(origin_of(checkpoint.source), name, "samespace", tags=("onnx", "reranker"), task="text-ranking")
    return (
        f"{top}# {name}\n\nA reranker exported by samespace. Its id: `{checkpoint.identity.space_id()}`.\n\n"
        "- It reads a query and a passage together and gives one score; it gives no vectors.\n"
        f"- Pairs: up to {recipe.token_limit} tokens at once; a longer passage is read in windows that share "
        f"{recipe.window_overlap} tokens, and the best one counts.\n"
        f"- Scores: {checkpoint.activation} of the logit.\n"
        f"- Made from: `{public_name(checkpoint.source)}`\n"
    )
