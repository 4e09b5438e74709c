"""Two encoders trained together: where they begin, which epoch is kept, what is written, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.models.encoders import save_tiny_bert
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.cli import cli
from samespace.errors import ConfigInvalid, RequestInvalid
from samespace.model.checkpoint import Checkpoint, load_checkpoint
from samespace.progress import silent
from samespace.text import ROLES, Role
from samespace.training.heads.config import HeadConfig
from samespace.training.heads.data import HeadData, of_texts
from samespace.training.heads.fit import start
from samespace.training.heads.frozen import FrozenEncoder
from samespace.training.joint import towers as both
from samespace.training.joint.config import JointConfig
from samespace.training.joint.tuning import TunedTowers, tune

WORDS = ("reset", "password", "vector", "space", "error", "code", "file", "number", "upload", "delete", "share", "ask")
FAST = JointConfig(rate=2e-3, epochs=6, batch_size=16)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[Role, Path]:
    """Model folders of two spaces and two lengths, the first with a prompt of its own for queries."""
    folder = tmp_path_factory.mktemp("pair")
    return {
        "query": save_tiny_bert(folder / "small", seed=3, prompts={"query": "ask: ", "document": ""}),
        "passage": save_tiny_bert(folder / "large", seed=4, dims=48),
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """66 questions, each of two words, answered by the passage that has both; a third is held out."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "qrels").mkdir()
    both_words = list(combinations(WORDS, 2))
    for name, line in (("corpus", "{1} of the {0}"), ("queries", "how do i {0} a {1}")):
        rows = [json.dumps({"_id": f"{name[0]}{row}", "text": line.format(*two)}) for row, two in enumerate(both_words)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    order = np.random.default_rng(0).permutation(len(both_words)).tolist()
    for split, rows in (("train", order[:44]), ("dev", order[44:55]), ("test", order[55:])):
        (folder / "qrels" / f"{split}.tsv").write_text("".join(f"q{row}\tc{row}\t1\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors that were made once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def read(pair: dict[Role, Path], asked: Path, cache: Path) -> tuple[HeadData, dict[Role, Checkpoint]]:
    """The data in both encoders' vectors, and the encoders."""
    encoders = {role: load_checkpoint(str(pair[role])) for role in ROLES}
    frozen = {role: FrozenEncoder(role, encoders[role], cache) for role in ROLES}
    return of_texts(asked, frozen, silent, allow_leakage="all"), encoders


@pytest.fixture(scope="module")
def tuned(
    read: tuple[HeadData, dict[Role, Checkpoint]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TunedTowers, HeadData]:
    """A training at a rate that learns."""
    data, encoders = read
    heads = start(data, HeadConfig(separate=True))
    return tune(data, encoders, heads, FAST, tmp_path_factory.mktemp("work"), silent), data


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_towers_begin_as_the_encoders_with_their_heads(
    read: tuple[HeadData, dict[Role, Checkpoint]], kind: str
) -> None:
    """Before the first step, sentence-transformers makes of the towers what numpy makes of vectors and heads."""
    data, encoders = read
    heads = start(data, HeadConfig(separate=True, kind=kind))
    towers = both.build(encoders, heads)
    texts = {"query": data.splits["test"].dataset.queries, "passage": data.splits["test"].dataset.passages}
    wanted = dict(zip(ROLES, data.pooled("test", heads), strict=True))
    for role, named in (("query", "query"), ("passage", "document")):
        model = towers.models[role]
        found = model.encode(list(texts[role]), prompt_name=named, normalize_embeddings=True)
        assert np.abs(found - wanted[role]).max() < 1e-5


def test_both_encoders_learn_and_the_best_epoch_is_kept(tuned: tuple[TunedTowers, HeadData]) -> None:
    """Both move; the development split chooses among all states, and only the taken one's folders are left."""
    found, _ = tuned
    taken, alone = found.taken, found.states[0]
    assert [each.epoch for each in found.states] == list(range(FAST.epochs + 1))
    assert taken.epoch > 0 and taken.dev == max(each.dev for each in found.states) > alone.dev + 0.1
    assert taken.scored["test"].score.ndcg_10 > alone.scored["test"].score.ndcg_10
    left = [each.epoch for each in found.states if each.folders and each.folders["query"].is_dir()]
    assert left == [taken.epoch]
    assert "than the heads alone on test" in found.summary() or "from the heads alone on test" in found.summary()


def test_what_is_scored_is_what_sentence_transformers_makes_of_the_folders(
    tuned: tuple[TunedTowers, HeadData], pair: dict[Role, Path]
) -> None:
    """The written folders, loaded by it alone, rank as the score says; their weights are not those of the bases."""
    from sentence_transformers import SentenceTransformer

    found, data = tuned
    assert found.taken.folders is not None
    models = {role: SentenceTransformer(str(found.taken.folders[role]), device="cpu") for role in ROLES}
    dataset = data.splits["test"].dataset
    q = models["query"].encode_query(list(dataset.queries), normalize_embeddings=True)
    p = models["passage"].encode_document(list(dataset.passages), normalize_embeddings=True)
    order = np.argsort(-(q @ p.T), axis=1)
    gains = [
        sum(1 / np.log2(2 + place) for place, row in enumerate(ranked[:10]) if dataset.passage_ids[row][1:] == key[1:])
        for key, ranked in zip(dataset.query_ids, order, strict=True)
    ]
    assert found.taken.scored["test"].score.ndcg_10 == pytest.approx(np.mean(gains), abs=1e-6)
    for role in ROLES:
        base = SentenceTransformer(str(pair[role]), device="cpu")
        moved = dict(models[role][0].named_parameters())
        assert any((moved[name] - weight).abs().max() > 1e-3 for name, weight in base[0].named_parameters())


def test_epochs_that_do_not_help_leave_the_heads_alone(tuned: tuple[TunedTowers, HeadData]) -> None:
    """A state is taken only where it is better on the development split than every one before it."""
    found, _ = tuned
    worse = TunedTowers(FAST, (found.taken, *found.states))
    assert worse.taken is found.taken  # an equal one later is not
    alone = TunedTowers(FAST, (found.states[0], found.states[0]))
    assert alone.taken.folders is None and "stay as they are" in alone.summary()


def test_a_split_that_is_trained_on_judges_nothing(
    pair: dict[Role, Path], asked: Path, cache: Path, tmp_path: Path
) -> None:
    """Its questions were trained on, with leave, and `align --joint` gave a p-value all the same."""
    folder = tmp_path / "leaks"
    shutil.copytree(asked, folder)
    rows = {split: (folder / "qrels" / f"{split}.tsv").read_text().splitlines() for split in ("train", "dev", "test")}
    seen = [*rows["train"], *rows["dev"][:2], *rows["test"][:3]]
    (folder / "qrels" / "train.tsv").write_text("\n".join(seen))
    encoders = {role: load_checkpoint(str(pair[role])) for role in ROLES}
    frozen = {role: FrozenEncoder(role, encoders[role], cache) for role in ROLES}
    data = of_texts(folder, frozen, silent, allow_leakage="all")
    found = tune(data, encoders, start(data, HeadConfig(separate=True)), replace(FAST, epochs=1), tmp_path, silent)
    for states in (found.states[1:], [found.states[0], found.states[0]]):  # one that is taken, and none
        said = replace(found, states=[found.states[0], *states]).summary()
        assert ", 2 questions of which are trained on: no epoch is chosen fairly" in said and "p =" not in said
    taken = replace(found, states=[found.states[1], found.states[1]])
    assert "on test, 3 questions of which are trained on: too good to be believed" in taken.summary()


def test_the_command_writes_a_two_tower_that_verifies(
    pair: dict[Role, Path], asked: Path, cache: Path, tmp_path: Path
) -> None:
    """`align --joint`: scores of each epoch, a record, the licence of the bases, and no path of this machine."""
    (pair["query"] / "README.md").write_text("---\nlicense: apache-2.0\n---\n# small\n")
    out = tmp_path / "out"
    arguments = ["align", str(pair["query"]), str(pair["passage"]), "--data", str(asked), "-o", str(out),
                 "--rate", "1e-3", "--allow-leakage", "all", "--cache", str(cache), "--joint",
                 "--joint-epochs", "4", "--joint-rate", "2e-3"]  # fmt: skip
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "heads alone" in result.output and "joint: epoch" in result.output
    artifact = open_artifact(out)
    facts = artifact.manifest.provenance
    assert facts["joint"]["taken_epoch"] > 0 and facts["towers"] == {"query": "small-joint", "passage": "large-joint"}
    assert "apache-2.0" in (out / "query" / "README.md").read_text()
    written = "".join(path.read_text() for path in out.rglob("*") if path.suffix in (".md", ".json"))
    assert str(tmp_path) not in written and str(pair["query"].parent) not in written
    assert CliRunner().invoke(cli, ["verify", str(out)], catch_exceptions=False).exit_code == 0
    encoder = Encoder.load(artifact, build="fp32")
    scores = (
        encoder.encode(["how do i reset a password"], "query") @ encoder.encode(["password of the reset"], "passage").T
    )
    assert scores.shape == (1, 1) and scores[0, 0] > 0.3


def test_what_cannot_be_trained_is_refused_at_once(
    pair: dict[Role, Path], asked: Path, cache: Path, tiny_artifact: Path, tmp_path: Path
) -> None:
    """An artifact has no weights to train; without a development split nothing says whether it helps."""
    common = ["--data", str(asked), "-o", str(tmp_path / "out"), "--allow-leakage", "all", "--rate", "1e-3",
              "--cache", str(cache)]  # fmt: skip

    def run(query: Path, *more: str) -> None:
        CliRunner().invoke(cli, ["align", str(query), str(pair["passage"]), *common, *more], catch_exceptions=False)

    with pytest.raises(RequestInvalid, match="is an artifact, whose graph cannot be trained"):
        run(tiny_artifact, "--joint")
    with pytest.raises(ConfigInvalid, match="go with --joint, which is not given"):
        run(pair["query"], "--joint-epochs", "3")
    with pytest.raises(ConfigInvalid, match=r"expected 1e-08 to 0\.01"):
        run(pair["query"], "--joint", "--joint-rate", "7")
    (asked / "qrels" / "dev.tsv").rename(tmp_path / "dev.tsv")
    try:
        with pytest.raises(ConfigInvalid, match="no dev split"):
            run(pair["query"], "--joint")
    finally:
        (tmp_path / "dev.tsv").rename(asked / "qrels" / "dev.tsv")
    assert not (tmp_path / "out").exists()
