"""fp16 that overflows is refused, also where this CPU computes fp16 operators in fp32."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.models.architectures import save_tiny
from samespace.errors import GateFailed
from samespace.exporting.builds.exact import build_fp16, build_fp32
from samespace.exporting.builds.parity import reference
from samespace.model.checkpoint import Checkpoint, load_checkpoint
from samespace.progress import SaidRarely


def t5(folder: Path, factor: float) -> Checkpoint:
    """A tiny T5 whose attention scores are *factor* times as large."""
    import torch

    checkpoint = load_checkpoint(save_tiny(folder, "t5"))
    with torch.no_grad():
        for name, weight in checkpoint.module.named_parameters():
            if name.endswith(("SelfAttention.q.weight", "SelfAttention.k.weight")):
                weight *= factor**0.5
    return checkpoint


def test_products_beyond_fp16_fail_the_gate(tmp_path: Path) -> None:
    """T5 does not scale its scores: near 100,000 they are finite in fp32 and infinite in fp16."""
    calm, loud = t5(tmp_path / "calm", 1.0), t5(tmp_path / "loud", 2e5)
    wanted = reference(calm)
    assert build_fp16(build_fp32(calm, wanted), wanted).name == "fp16"
    wanted = reference(loud)
    with pytest.raises(GateFailed, match="holds in fp16"):
        build_fp16(build_fp32(loud, wanted), wanted)


def test_quantising_tells_how_far_it_is() -> None:
    """Each pass over the texts, in sentences that are not more often than asked for."""
    from samespace.exporting.builds.quantise import CountedRows

    said: list[str] = []
    rows = CountedRows(["a", "b", "c"], SaidRarely(said.append, every_s=0.0))
    assert [*rows, *rows] == ["a", "b", "c"] * 2
    assert [sentence.rpartition(",")[0] for sentence in said[2:4]] == [
        "int8: pass 1, text 3 of 3",
        "int8: pass 2, text 1 of 3",
    ]
    quiet: list[str] = []
    assert list(CountedRows(["a"], SaidRarely(quiet.append))) == ["a"]
    assert not quiet


def test_scoring_a_build_says_how_far_it_is() -> None:
    """Of a model of 110 million weights the gate's texts take minutes, before and after the file is quantised."""
    from samespace.exporting.builds.gate import CountedTexts

    said: list[str] = []
    counted = CountedTexts("scoring int8", 30, SaidRarely(said.append, every_s=0.0))
    counted(10)
    counted(5)
    assert [sentence.rpartition(",")[0] for sentence in said] == [
        "scoring int8: text 10 of 30",
        "scoring int8: text 15 of 30",
    ]
    quiet: list[str] = []
    CountedTexts("scoring int8", 30, SaidRarely(quiet.append))(30)
    assert not quiet
