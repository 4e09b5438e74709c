"""Composites: several encoders behind one manifest are a space of their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.models.forgery import forge_file
from samespace import Encoder, SpaceMismatch
from samespace.artifact import Probes, open_artifact, verify_files
from samespace.artifact.compare import compare
from samespace.artifact.composite import concatenation, two_tower
from samespace.cli import cli
from samespace.combine import concatenate
from samespace.errors import ArtifactDamaged, ArtifactError, ManifestInvalid, ProbesFailed, RequestInvalid
from samespace.exporting.composites.concatenate import combine, join_towers
from samespace.vectors import cosine_distance

FP32_CPU = 1e-6  # 1 - cosine: what batch shapes may change in float32
TEXTS = ["reset the password", "", "the value of the index is in the file " * 20]
A, B = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def both(tiny_artifact: Path, other_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The concatenation of the two, the second at half weight."""
    out = tmp_path_factory.mktemp("composite") / "both"
    combine([open_artifact(tiny_artifact), open_artifact(other_artifact)], out, weights=[2.0, 1.0])
    return out


def test_a_concatenation_is_the_parts_side_by_side(both: Path, tiny_artifact: Path, other_artifact: Path) -> None:
    """Each text's vector is made of its unit vectors in the parts, windows included; cosines are weighted means."""
    with Encoder.load(both, build="fp32") as encoder:
        found = encoder.encode_detailed(TEXTS, "passage")
    parts = [
        Encoder.load(folder, build="fp32").encode_detailed(TEXTS, "passage")
        for folder in (tiny_artifact, other_artifact)
    ]
    one, two = (np.asarray(part.vectors, dtype=np.float64) for part in parts)
    vectors = np.asarray(found.vectors, dtype=np.float64)
    assert vectors.shape == (3, 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    expected = (4 * one @ one.T + 1 * two @ two.T) / 5  # squares of the weights 2 and 1
    assert np.allclose(vectors @ vectors.T, expected, atol=1e-5)
    assert found.windows == parts[0].windows
    assert found.windows[2] > 1


def test_a_composite_and_its_parts_do_not_compare(both: Path, tiny_artifact: Path) -> None:
    """Its vectors are of its own space."""
    whole, part = Encoder.load(both), Encoder.load(tiny_artifact)
    assert whole.space_id not in {each.space_id for each in open_artifact(both).parts}
    with pytest.raises(SpaceMismatch):
        whole.encode(["a"], "query").compare(part.encode(["a"], "passage"))


def test_what_was_opened_is_what_is_copied(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """A part's manifest that changes after it was read is not read again: neither digested nor copied."""
    folder = Path(shutil.copytree(tiny_artifact, tmp_path / "part"))
    opened, listed = open_artifact(folder), (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(listed.replace(b'"name"', b'"nome"'))
    written = combine([opened, open_artifact(other_artifact)], tmp_path / "both")
    assert (written.parts[0].folder / "manifest.json").read_bytes() == listed


def test_a_part_whose_probes_are_not_what_it_computes_is_refused(
    tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """Its probes would become those of the composite."""
    folder = Path(shutil.copytree(tiny_artifact, tmp_path / "part"))
    probes = open_artifact(folder).probes()
    forge_file(folder, "probes.npz", Probes(probes.texts, probes.roles, probes.vectors[::-1].copy()).to_bytes())
    with pytest.raises(ProbesFailed, match="the probes come out with 1 - cos up to"):
        combine([open_artifact(folder), open_artifact(other_artifact)], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_weights_are_ratios_and_order_counts() -> None:
    """(2, 1) is the space of (1, 0.5); other ratios and another order are other spaces."""
    parts = [(A, 8), (B, 4)]
    assert concatenation(parts, [2, 1]).space_id() == concatenation(parts, [1, 0.5]).space_id()
    spaces = {
        concatenation(parts).space_id(),
        concatenation(parts, [1, 0.5]).space_id(),
        concatenation(parts[::-1]).space_id(),
        two_tower((A, 8), (B, 8)).space_id(),
    }
    assert len(spaces) == 4


@pytest.mark.parametrize(
    ("parts", "weights", "message"),
    [
        ([(A, 8)], None, "expected 2 to 8"),
        ([(A, 8), (A, 8)], None, "once is enough"),
        ([(A, 8), (B, 8)], [1.0], "one number above 0 for each"),
        ([(A, 8), (B, 8)], [1.0, 0.0], "one number above 0 for each"),
        ([(A, 8), (B, 8)], [1.0, float("nan")], "one number above 0 for each"),
    ],
)
def test_senseless_combinations_are_refused(
    parts: list[tuple[str, int]], weights: list[float] | None, message: str
) -> None:
    """One part, the same space twice, weights that are none."""
    with pytest.raises(RequestInvalid, match=message):
        concatenation(parts, weights)
    with pytest.raises(RequestInvalid, match="8 dims, the passage encoder 4"):
        two_tower((A, 8), (B, 4))


def test_composites_do_not_nest_and_do_not_overwrite(both: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """A composite of a composite is refused, and so is a target that is taken; nothing is left behind."""
    with pytest.raises(RequestInvalid, match="is a composite itself"):
        combine([open_artifact(both), open_artifact(tiny_artifact)], tmp_path / "nested")
    with pytest.raises(ArtifactError, match="--replace"):
        combine(list(open_artifact(both).parts), both)
    assert list(tmp_path.iterdir()) == []


def test_a_two_tower_routes_by_role(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """Queries go through the first encoder, passages through the second, and they compare."""
    artifact = join_towers(
        open_artifact(tiny_artifact), open_artifact(other_artifact), tmp_path / "towers", anyway=True
    )
    assert artifact.role_matters
    towers = Encoder.load(artifact, build="fp32")
    for role, folder in (("query", tiny_artifact), ("passage", other_artifact)):
        found, alone = towers.encode(TEXTS, role), Encoder.load(folder, build="fp32").encode(TEXTS, role)
        assert cosine_distance(np.asarray(found), np.asarray(alone)).max() <= FP32_CPU
        assert found.space_id == artifact.space_id
    assert towers.encode(TEXTS[:1], "query").compare(towers.encode(TEXTS, "passage")).shape == (1, 3)
    with pytest.raises(RequestInvalid, match="role"):
        towers.encode(["a"], "document")  # type: ignore[arg-type]


def test_every_file_of_every_part_is_checked(both: Path, other_artifact: Path, tmp_path: Path) -> None:
    """A flipped byte, an exchanged part, a linked part, a missing part, an edited identity: refused by name."""
    assert {name.partition("/")[0] for name in verify_files(open_artifact(both))} >= {"part1", "part2", "probes.npz"}

    def damaged(name: str) -> Path:
        return Path(shutil.copytree(both, tmp_path / name))

    flipped = damaged("flipped")
    data = bytearray((flipped / "part2" / "model.fp32.onnx").read_bytes())
    data[-50] ^= 1
    (flipped / "part2" / "model.fp32.onnx").write_bytes(data)
    with pytest.raises(ArtifactDamaged, match=r"part2.*sha256"):
        verify_files(open_artifact(flipped))
    swapped = damaged("swapped")
    (swapped / "part1").rename(swapped / "x")
    (swapped / "part2").rename(swapped / "part1")
    (swapped / "x").rename(swapped / "part2")
    with pytest.raises(ArtifactDamaged, match=r"part1.*the composite says"):
        open_artifact(swapped)
    linked = damaged("linked")
    shutil.rmtree(linked / "part2")
    (linked / "part2").symlink_to(other_artifact)
    with pytest.raises(ArtifactDamaged, match="not a plain folder"):
        open_artifact(linked)
    shutil.rmtree(flipped / "part1")
    with pytest.raises(ArtifactDamaged, match="not a plain folder"):
        open_artifact(flipped)
    edited = damaged("edited")
    manifest = json.loads((edited / "manifest.json").read_text())
    manifest["identity"]["parts"][1][2] = 0.25
    (edited / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestInvalid, match="it was edited"):
        open_artifact(edited)


def test_wrong_weights_are_seen_by_the_probes(both: Path, tmp_path: Path) -> None:
    """A manifest that was edited consistently still has to agree with the probes of the whole."""
    forged = Path(shutil.copytree(both, tmp_path / "forged"))
    manifest = json.loads((forged / "manifest.json").read_text())
    parts = [(space_id, dims) for space_id, dims, _ in manifest["identity"]["parts"]]
    identity = concatenation(parts, [1.0, 0.9])
    manifest |= {"identity": identity.to_dict(), "space_id": identity.space_id()}
    (forged / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ProbesFailed):
        Encoder.load(forged)


def test_windows_need_parts_that_cut_alike(both: Path) -> None:
    """Equal tokenizers and limits give common windows; unlike spans are refused, not guessed."""
    from samespace.combine import concatenate_embedded
    from samespace.embed import Embedded

    found = Encoder.load(both).encode_detailed([TEXTS[2]], "passage", long_texts="windows")
    assert len(found.vectors) == found.windows[0] > 1
    row = np.ones((1, 1), np.float32)
    unlike = [Embedded(row, (3,), (1,), ((0, 0, end),)) for end in (4, 5)]
    with pytest.raises(RequestInvalid, match="at different places"):
        concatenate_embedded(unlike, [1.0, 1.0], "windows")


def test_concatenate_scales_to_unit_length() -> None:
    """[1, 0] and [0, 1] with weights 3 and 4 are [.6, 0, 0, .8]."""
    found = concatenate([np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)], [3.0, 4.0])
    assert np.allclose(found, [[0.6, 0.0, 0.0, 0.8]], atol=1e-7)


def test_diff_tells_weights_parts_and_kinds_apart(both: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """The same parts with other weights are another space, and the difference is named."""
    parts = open_artifact(both).parts
    equal = combine(parts, tmp_path / "equal")
    found = compare(open_artifact(both), equal)
    assert (found.verdict, [part for part, _ in found.space]) == ("different", ["parts"])
    assert "weight 0.5" in found.space[0][1]
    assert compare(equal, open_artifact(tiny_artifact)).space == (("kind", "concatenation and encoder"),)
    assert compare(equal, combine(parts, tmp_path / "again")).verdict == "same"


def dataset(folder: Path) -> Path:
    """Sixty-four passages, each the answer to its own words: by chance, nobody finds many of them."""
    folder.mkdir()
    starts = ["reset", "flatten", "install", "return", "update", "index", "query", "refund"]
    ends = ["the password", "a list", "the user name", "error code", "the model", "text", "data", "the value"]
    texts = [f"{start} {end}" for start in starts for end in ends]
    rows = [{"_id": f"d{number}", "title": "", "text": text} for number, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = [{"_id": f"q{number}", "text": text} for number, text in enumerate(texts)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (folder / "qrels").mkdir()
    lines = "".join(f"q{number}\td{number}\t1\n" for number in range(len(texts)))
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


def test_the_command_combines_scores_inspects_and_verifies(
    tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """combine prints the parts and the whole; inspect and verify understand the result."""
    out, data = tmp_path / "both", dataset(tmp_path / "data")
    runner = CliRunner()
    parts = [str(tiny_artifact), str(other_artifact)]
    done = runner.invoke(cli, ["combine", *parts, "-o", str(out), "--data", str(data)])
    assert done.exit_code == 0, done.output
    assert "bm25" in done.output and open_artifact(out).space_id in done.output
    shown = runner.invoke(cli, ["inspect", str(out)])
    assert shown.exit_code == 0 and "64 dims, the parts' vectors side by side" in shown.output
    assert json.loads(runner.invoke(cli, ["inspect", str(out), "--json"]).output)["kind"] == "concatenation"
    verified = runner.invoke(cli, ["verify", str(out)])
    assert verified.exit_code == 0 and "part2/fp32" in verified.output and "whole" in verified.output


def test_unrelated_towers_are_refused_with_their_scores(
    tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """Equal dims are no evidence: two encoders that were not trained together do not become a two-tower."""
    out, data = tmp_path / "towers", dataset(tmp_path / "data")
    arguments = ["combine", str(tiny_artifact), str(other_artifact), "-o", str(out), "--two-tower"]
    runner = CliRunner()
    asked = runner.invoke(cli, arguments)
    assert "--data" in str(asked.exception)
    refused = runner.invoke(cli, [*arguments, "--data", str(data)])
    assert "do not share a space" in str(refused.exception)
    assert not out.exists()
