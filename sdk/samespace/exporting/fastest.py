"""Running a checkpoint by the fastest means that were verified against it: the one place that decides on them.

exact_session  the fp32 graph on the fastest runtime that agrees with torch; where vectors are kept or fitted on
exported       a whole artifact for a while, and its fastest build whose probes pass here; where vectors are compared
fastest        torch for a little, `exported` for much; where that cannot be had, torch with the reason

Whether an export pays is decided by what there is to do, and not by the clock: the same run then does the same again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from torch import nn

from ..artifact import Artifact
from ..encoder import CompositeEncoder, Encoder, LocalEncoder
from ..errors import BuildError, ExtraMissing, ModelUnsupported
from ..model.checkpoint import Checkpoint, CheckpointEncoder
from ..runtime import Session, load_build
from ..text import TextEncoder
from .builds.exact import build_fp32, session_over
from .builds.parity import reference
from .package import export_artifact

EXPORT_FROM: Final = 15e12
"""Tokens times weights from which an export, about half a minute on two cores, pays: 1.4 million tokens of MiniLM."""
CANNOT: Final = (BuildError, ModelUnsupported, ExtraMissing)
"""What `exported` raises where there is no verified graph to be had: whoever can does without."""
_TOKENIZED_AT_ONCE: Final = 4096


def pays(tokens: int, module: nn.Module, *, export_from: float = EXPORT_FROM) -> bool:
    """Whether *tokens* are enough to export *module* for them."""
    weights = sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Linear))
    return tokens * weights >= export_from


@contextmanager
def exact_session(source: Checkpoint | Artifact) -> Iterator[Session]:
    """The fp32 graph of *source* on the fastest of the runtimes that agree with its reference.

    Raises:
        ModelUnsupported, GateFailed: a checkpoint whose graph cannot be had, or differs from torch.
        BuildError: an artifact's fp32 build does not run here.
    """
    if not isinstance(source, Checkpoint):
        yield load_build(source, build="fp32").session
        return
    build = build_fp32(source, reference(source))
    way = build.measured[-1]  # onnxruntime, then OpenVINO where it is installed and agrees
    with session_over(build.data, way.runtime, way.precision) as session:
        yield session


@contextmanager
def exported(checkpoint: Checkpoint) -> Iterator[LocalEncoder]:
    """*checkpoint* as an artifact in a scratch folder, run by its fastest build whose probes pass here.

    Raises:
        BuildError, ModelUnsupported, ExtraMissing: there is no such build; see `CANNOT`.
    """
    with tempfile.TemporaryDirectory(prefix="samespace-fastest-") as scratch:
        # Nobody is given this artifact, so that it need not be better than its base.
        artifact = export_artifact(checkpoint, Path(scratch) / "artifact", name="scratch", anyway=True).artifact
        with Encoder.load(artifact) as encoder:
            assert not isinstance(encoder, CompositeEncoder)
            yield encoder


@contextmanager
def fastest(checkpoint: Checkpoint, texts: Sequence[str]) -> Iterator[tuple[Encoder, str]]:
    """An encoder of *checkpoint* for about these *texts*, and the name of what runs it."""
    if not pays(_tokens(checkpoint.text_encoder, texts), checkpoint.module):
        yield CheckpointEncoder(checkpoint), "torch"
        return
    with ExitStack() as stack:
        try:
            encoder = stack.enter_context(exported(checkpoint))
        except CANNOT as error:
            yield CheckpointEncoder(checkpoint), f"torch, slowly, because it cannot be exported: {error}"
            return
        yield encoder, f"{encoder.loaded.build_name} on {encoder.loaded.runtime}"


def _tokens(text_encoder: TextEncoder, texts: Sequence[str]) -> int:
    """Tokens of all windows; whether a text is a query or a passage makes no difference worth counting."""
    total = 0
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        for text in text_encoder.tokenize(texts[start : start + _TOKENIZED_AT_ONCE], "passage"):
            total += sum(len(window.ids) for window in text.windows)
    return total
