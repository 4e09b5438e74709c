"""A space id is shown by the graph, and two artifacts of one id have to give the same vectors on texts made then."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from attacks.test_identity_attacks import Change, forge, ids_turned_round, layers_swapped, permuted
from attacks.test_structure_attacks import OTHERS
from fakes.models.architectures import FAMILIES, save_tiny
from fakes.models.forgery import add_build_of_other_weights, forge_file, forge_manifest
from samespace.artifact import open_artifact
from samespace.artifact.graph_check import check_bytes
from samespace.artifact.proof import prove_identity
from samespace.cli import cli
from samespace.errors import ArtifactDamaged, ProbesFailed
from samespace.exporting.graph import OPSETS, graph_of
from samespace.exporting.heads import headed
from samespace.exporting.package import export_artifact
from samespace.exporting.rewritten import difference_to_rewritten
from samespace.heads import DenseLayer, Head
from samespace.model.checkpoint import load_checkpoint
from samespace.model.rebuilt import compare_rebuilt
from samespace.runtime import load_build
from samespace.runtime.fresh import require_same_space


@pytest.fixture
def forged(tiny_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_artifact, tmp_path / "forged"))


@pytest.mark.parametrize("name", ["bert", "t5", "gemma3", "alibi", "modernbert", "albert"])
def test_every_weight_of_an_architecture_is_found(name: str, tmp_path: Path) -> None:
    """Also tied ones, transposed ones, and norms that add 1 to their weight."""
    import torch

    assert name in FAMILIES
    folder = save_tiny(tmp_path / name, name)
    checkpoint = load_checkpoint(folder)
    with torch.no_grad():  # norms start at 0 or 1, all alike
        for parameter in checkpoint.module.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.rand_like(parameter)
    for opset in OPSETS:
        graph = check_bytes(graph_of(checkpoint, opset), dims=checkpoint.dims, file="model.onnx")
        proof = prove_identity(graph, checkpoint.identity, "model.onnx")
        assert set(proof.weights) == {weight.name for weight in checkpoint.identity.weights}


def test_an_artifact_is_built_anew_in_torch(tiny_artifact: Path) -> None:
    """From the identity's settings and the graph's own weights."""
    assert compare_rebuilt(open_artifact(tiny_artifact)) <= 1e-6


@pytest.mark.parametrize("change", [layers_swapped, ids_turned_round])
def test_the_right_weights_wired_otherwise_are_found_by_torch(change: Change, forged: Path) -> None:
    """Their digests are all there: what they compute is not the architecture of the identity."""
    forge(forged, change)
    with pytest.raises(ArtifactDamaged, match="computes something else with them"):
        compare_rebuilt(open_artifact(forged))
    result = CliRunner().invoke(cli, ["verify", str(forged)])
    assert result.exit_code == 1
    assert "verified" not in result.output


@pytest.mark.parametrize("name", ["scale", "eps", "a token", "large batches", "a node"])
def test_a_graph_that_its_texts_cannot_tell_is_not_called_verified_alone(name: str, forged: Path) -> None:
    """It is compared node by node with the one that is written for its identity, and the last line says so."""
    change, said = OTHERS[name]
    forge(forged, change)
    assert said in difference_to_rewritten(open_artifact(forged))
    result = CliRunner().invoke(cli, ["verify", str(forged)])
    (line,) = [line for line in result.output.splitlines() if line.startswith("verified: space ")] or [""]
    assert result.exit_code == (3 if "but for its graph" in line else 1)


def test_the_graph_of_an_export_is_the_one_that_is_written_anew(tiny_artifact: Path) -> None:
    """Node by node, with each constant."""
    assert difference_to_rewritten(open_artifact(tiny_artifact)) == ""
    result = CliRunner().invoke(cli, ["verify", str(tiny_artifact)])
    assert result.output.splitlines()[-1] == f"verified: space {open_artifact(tiny_artifact).space_id}"


def test_other_writers_are_named_where_the_graph_differs(forged: Path) -> None:
    """Another version writes another graph: the likely reason, and only the artifact's word."""
    forge(forged, OTHERS["eps"][0])
    forge_manifest(forged, lambda value: value["provenance"]["versions"].update(torch="2.12.0"))
    assert "written by torch 2.12.0 and not" in difference_to_rewritten(open_artifact(forged))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t5", "gemma3", "alibi", "modernbert", "albert", "mpnet", "qwen3", "xlm_roberta"])
def test_the_graph_of_an_architecture_is_written_anew(name: str, tmp_path: Path) -> None:
    """From its identity alone, the same structure."""
    folder = save_tiny(tmp_path / name, name)
    artifact = export_artifact(load_checkpoint(folder), tmp_path / "artifact", anyway=True).artifact
    assert difference_to_rewritten(artifact) == ""


def test_a_head_behind_an_artifact_is_written_anew_too(tiny_artifact: Path, tmp_path: Path) -> None:
    """Its nodes are ours and not torch's."""
    random = np.random.default_rng(5)
    shapes = ((24, 32), (16, 24))
    head = Head(
        tuple(
            DenseLayer(random.normal(size=shape).astype(np.float32), np.ones(shape[0], np.float32), name)
            for shape, name in zip(shapes, ("relu", "identity"), strict=True)
        )
    )
    artifact = export_artifact(headed(open_artifact(tiny_artifact), head), tmp_path / "headed", anyway=True).artifact
    assert difference_to_rewritten(artifact) == ""


def test_without_torch_verified_says_what_was_not_seen(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are there and used; how they are wired, nobody has looked at."""
    monkeypatch.setattr("samespace.cli.artifacts.verify.find_spec", lambda name: None)
    result = CliRunner().invoke(cli, ["verify", str(tiny_artifact)])
    assert result.exit_code == 0
    (line,) = [line for line in result.output.splitlines() if line.startswith("verified: space ")]
    assert line.endswith(", but for how its weights are wired: that needs samespace[train]")


@pytest.mark.parametrize("change", [layers_swapped, ids_turned_round])
def test_another_encoder_does_not_take_the_place_of_one_of_its_id(
    change: Change, tiny_artifact: Path, forged: Path
) -> None:
    """Whatever the ids say: the server runs both before it exchanges them."""
    forge(forged, change)
    former, new = (load_build(open_artifact(each), build="fp32") for each in (tiny_artifact, forged))
    with pytest.raises(ProbesFailed, match="not those of the other artifact of this space id"):
        require_same_space(former, new)
    require_same_space(former, former)


def test_diff_of_a_forged_artifact_fails(tiny_artifact: Path, forged: Path) -> None:
    """The issue's forgery, which `diff` once called the same space, rebuilt."""
    forge(forged, permuted)
    result = CliRunner().invoke(cli, ["diff", str(tiny_artifact), str(forged)])
    assert result.exit_code == 1
    assert "may NOT" in result.output


def test_probes_copied_from_the_original_do_not_help(tiny_artifact: Path, forged: Path) -> None:
    """With probes that say what the original gives, and another graph, both are run."""
    forge(forged, ids_turned_round)
    forge_file(forged, "probes.npz", (tiny_artifact / "probes.npz").read_bytes())
    result = CliRunner().invoke(cli, ["diff", str(tiny_artifact), str(forged)])
    assert result.exit_code == 1
    assert CliRunner().invoke(cli, ["diff", str(tiny_artifact), str(tiny_artifact)]).exit_code == 0


def test_diff_runs_the_builds_that_only_one_side_has(tiny_artifact: Path, forged: Path) -> None:
    """An int8 build of other weights beside the right fp32 one."""
    add_build_of_other_weights(forged)
    result = CliRunner().invoke(cli, ["diff", str(tiny_artifact), str(forged)])
    assert result.exit_code == 1
    assert "may NOT" in result.output
    assert "int8" in result.output.split("run here:")[1]
    plain = json.loads(CliRunner().invoke(cli, ["diff", str(tiny_artifact), str(forged), "--json"]).stdout)
    assert plain["verdict"] == "contradiction" and "int8" in plain["run_here"]
