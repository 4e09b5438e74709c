"""Training heads on vectors: what they start as, what they learn, how the rate is chosen, and the two commands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.cli import cli
from samespace.errors import ConfigInvalid, DataInvalid, ModelUnsupported, RequestInvalid
from samespace.heads import load_heads
from samespace.training.heads import fit as head_fit
from samespace.training.heads.choice import Tried, alarms, chosen, compare, probe, score
from samespace.training.heads.config import HeadConfig
from samespace.training.heads.data import Anchors, HeadData, of_texts
from samespace.training.heads.fit import HeadBatch, HeadPairs, HeadState, examples, fit, start, trivial_loss
from samespace.training.heads.frozen import EmbeddedTexts, open_frozen
from samespace.training.heads.request import HeadRequest, align_encoders
from samespace.training.heads.run import train_head
from samespace.training.heads.vectors import of_vectors
from samespace.training.heads.watch import judge, watch
from samespace.training.sentinel.judge import RunFacts, Vitals
from samespace.vectors import Float32, normalise

SIGNAL, NOISE, DIMS = 8, 8, 16
SPACE = "c" * 64


@contextmanager
def silent(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """No progress."""
    yield lambda count: None


def save_vectors(folder: Path, *, queries: int = 96, seed: int = 0) -> Path:
    """Query i asks for passage i: both share 8 numbers, and have 8 louder ones of their own that say nothing.

    A linear head that drops the noise ranks nearly all queries right; the vectors as they are do not.
    """
    random = np.random.default_rng(seed)
    signal = random.normal(size=(queries, SIGNAL))

    def noisy() -> Float32:
        return normalise(np.concatenate([signal, 2 * random.normal(size=(queries, NOISE))], axis=1))

    (folder / "qrels").mkdir(parents=True)
    np.save(folder / "queries.npy", noisy())
    np.save(folder / "passages.npy", noisy())
    cuts = {
        "train": range(queries // 2),
        "dev": range(queries // 2, 3 * queries // 4),
        "test": range(3 * queries // 4, queries),
    }
    for split, rows in cuts.items():
        (folder / "qrels" / f"{split}.tsv").write_text("".join(f"{row}\t{row}\t1\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> HeadData:
    """The data of `save_vectors`."""
    return of_vectors(save_vectors(tmp_path_factory.mktemp("vectors") / "set"), SPACE)


QUICK = {"epochs": 25, "batch_size": 16}


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("loss", ["infonce", "cosine_mse"])
def test_a_head_learns_what_the_vectors_hide(vectors: HeadData, kind: str, loss: str) -> None:
    """On queries that were held out it ranks clearly better than the vectors as they are, and the record says so."""
    trained = train_head(vectors, HeadConfig(kind=kind, loss=loss, negatives=3, **QUICK), silent)
    base, head = (next(each for each in trained.compared if each.name == name) for name in ("base", "head"))
    assert head.scores["test"] > base.scores["test"] + 0.1
    assert "better than the base" in trained.summary()
    assert json.loads(json.dumps(trained.record()))["rate"] == trained.taken.rate


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("separate", [False, True])
def test_a_head_starts_as_the_base(vectors: HeadData, kind: str, separate: bool) -> None:
    """Before the first step it changes no ranking; so a training can be held against its own start."""
    begin = start(vectors, HeadConfig(kind=kind, separate=separate, hidden=2 * DIMS + 5 if kind == "mlp" else 0))
    assert begin.shared is not separate
    rows = vectors.queries.pooled()
    assert np.abs(begin.query.apply(rows) - rows).max() < 1e-6
    assert score(vectors, "test", begin).score.ndcg_10 == score(vectors, "test", None).score.ndcg_10


def test_fewer_dims_start_as_the_directions_of_most_energy(vectors: HeadData) -> None:
    """No other projection to as many dims keeps more of the passages' squared length."""
    (layer,) = start(vectors, HeadConfig(dims=6)).query.layers
    rows = vectors.passages.pooled()
    most = np.sort(np.linalg.eigvalsh(rows.T.astype(np.float64) @ rows))[::-1][:6].sum()
    assert np.square(rows @ layer.weight.T).sum() == pytest.approx(most, rel=1e-4)
    assert np.allclose(layer.weight @ layer.weight.T, np.eye(6), atol=1e-5)


def test_two_spaces_start_as_the_rotation_between_them(vectors: HeadData) -> None:
    """Where one side is a rotation of the other, the start undoes it, and the spaces compare before any training."""
    random = np.random.default_rng(5)
    turn = np.linalg.qr(random.normal(size=(DIMS, DIMS)))[0].astype(np.float32)
    texts = vectors.passages.pooled()
    turned = EmbeddedTexts.of_rows(texts @ turn.T)
    data = HeadData(
        **{
            name: getattr(vectors, name)
            for name in ("name", "queries", "pairs", "labels", "labelled", "splits", "record")
        },
        passages=turned,
        sources={"query": "a" * 64, "passage": "b" * 64},
        anchors=Anchors(texts, turned.pooled()),
    )
    begin = start(data, HeadConfig(separate=True))
    assert not begin.shared
    wanted = score(vectors, "test", None).score.ndcg_10
    assert score(data, "test", begin).score.ndcg_10 == pytest.approx(wanted)
    rows = {each.name: each.scores["test"] for each in compare(data, begin, begin, bm25=False)}
    assert rows["start"] == pytest.approx(wanted) and rows["base"] < wanted / 2


def test_info_nce_is_its_formula() -> None:
    """Against a slow, obvious sum: known answers of a query do not compete, in either direction."""
    random = np.random.default_rng(0)
    q, p = normalise(random.normal(size=(4, 3))), normalise(random.normal(size=(5, 3)))
    pairs = np.array([(0, 0), (0, 1), (2, 3), (3, 3), (1, 4)], np.int64)
    known = np.unique(pairs[:, 0] * 5 + pairs[:, 1])
    made = HeadPairs(q, p, pairs, np.ones(5, np.float32), known)
    config = HeadConfig(temperature=0.3)
    batch = HeadBatch.of(pairs, made.labels)
    found = head_fit.loss_of(
        torch.from_numpy(q[batch.queries]), torch.from_numpy(p[batch.passages]), batch, made, config
    )
    right = {(int(a), int(b)) for a, b in pairs}
    losses = []
    for a, b in right:
        own = math.exp(q[a] @ p[b] / 0.3)
        forth = own + sum(math.exp(q[a] @ p[j] / 0.3) for j in set(pairs[:, 1].tolist()) if (a, j) not in right)
        back = own + sum(math.exp(q[i] @ p[b] / 0.3) for i in set(pairs[:, 0].tolist()) if (i, b) not in right)
        losses.append(-math.log(own / forth) / 2 - math.log(own / back) / 2)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_trivial_loss_is_that_of_constant_vectors(vectors: HeadData) -> None:
    """Equal vectors give exactly it: the log of how many compete, or the variance of the labels."""
    made = examples(vectors, HeadConfig())
    same = HeadPairs(
        *(np.ones_like(each) for each in (made.queries, made.passages)), made.pairs, made.labels, made.known
    )
    config = HeadConfig(batch_size=16, epochs=1)
    losses = [
        float(
            head_fit.loss_of(
                *(torch.ones(len(rows), 4) for rows in (batch.queries, batch.passages)), batch, same, config
            )
        )
        for batch in same.batches(16, config.seed)
    ]
    assert trivial_loss(same, config) == pytest.approx(np.mean(losses), rel=1e-5)
    labelled = examples(vectors, HeadConfig(loss="cosine_mse", negatives=2))
    share = labelled.labels.mean()
    assert trivial_loss(labelled, HeadConfig(loss="cosine_mse")) == pytest.approx(share * (1 - share), rel=1e-4)


def test_random_negatives_are_no_known_answers(vectors: HeadData) -> None:
    """Pairs without labels get negatives with label 0, none of which is known to be right; the same for a seed."""
    config = HeadConfig(loss="cosine_mse", negatives=50)
    made = examples(vectors, config)
    wrong = made.pairs[made.labels == 0]
    assert len(wrong) > 40 * len(vectors.pairs)
    assert not np.isin(wrong[:, 0] * len(vectors.passages) + wrong[:, 1], vectors.known).any()
    assert np.array_equal(made.pairs, examples(vectors, config).pairs)


def test_the_probe_takes_the_rate_that_the_development_split_likes(vectors: HeadData) -> None:
    """A rate too low changes nothing, and is not taken; without a development split a rate has to be said."""
    config = HeadConfig(**QUICK)
    made, begin = examples(vectors, config), start(vectors, config)
    tried = probe(vectors, made, begin, config)
    slowest, taken = tried[0], chosen(tried)
    assert max(slowest.dev) - min(slowest.dev) < 0.02
    assert taken.score > slowest.score + 0.1 and taken.rate > 1e-4
    assert [state.step for state in slowest.states] == sorted({state.step for state in slowest.states})
    alone = HeadData(**{**{name: getattr(vectors, name) for name in HeadData.__dataclass_fields__}, "splits": {}})
    with pytest.raises(ConfigInvalid, match="no dev split"):
        probe(alone, made, begin, config)
    (one,) = probe(alone, made, begin, HeadConfig(rate=1e-3, **QUICK))
    assert one.best == len(one.states) - 1


def test_the_same_seed_gives_the_same_head(vectors: HeadData) -> None:
    """Number by number."""
    config = HeadConfig(kind="mlp", rate=1e-3, epochs=3, batch_size=16, start="random")
    runs = [fit(examples(vectors, config), start(vectors, config), config, 1e-3)[-1].heads for _ in range(2)]
    assert np.array_equal(runs[0].query.layers[1].weight, runs[1].query.layers[1].weight)


def measured(loss: float, step: int = 100) -> Vitals:
    """One state of a training with labels 0 and 1."""
    return Vitals(step, loss, 0.25, 5.0, 0.9, -2.0, 0.51, 0.02, 0.5, 0.02, 0.0, 0.1 * (step > 0), 0.0)


def test_a_head_that_tells_nothing_apart_is_named_with_its_cause() -> None:
    """By its loss beside the trivial one; the other rates of the ladder say whether rate or pairs are to blame."""
    flat, learned = measured(0.249), measured(0.1)
    run, begin = RunFacts("cosine_mse", 100, 0.05, 15.0, 0.5, 1e-4), measured(0.4, step=0)
    assert judge(run, [begin, learned], [(1e-5, flat)]) is None
    cases = [
        ([(1e-3, learned), (1e-2, measured(0.3))], "rate too low", "take rate 0.001, not 0.0001"),
        ([(1e-5, learned)], "rate too high", "take rate 1e-05"),
        ([(1e-5, flat), (1e-3, measured(float("nan")))], "wrong labels", "samespace doctor"),
        ([], "rate too low", "leave --rate out"),
    ]
    for ladder, cause, remedy in cases:
        alarm = judge(run, [begin, flat], ladder)
        assert alarm is not None and alarm.cause == cause and remedy in alarm.remedy
        assert "loss 0.2490, telling nothing apart gives 0.2500" in str(alarm)


@pytest.mark.parametrize("loss", ["infonce", "cosine_mse"])
def test_what_is_measured_is_what_is_trained(vectors: HeadData, loss: str) -> None:
    """On one batch of all pairs the measured loss is the training's own, and so is the trivial one."""
    config = HeadConfig(loss=loss, batch_size=4096)
    made, begin = examples(vectors, config), start(vectors, config)
    (batch,) = list(made.batches(4096, 0))
    q, p = torch.tensor(made.queries[batch.queries]), torch.tensor(made.passages[batch.passages])
    (found,) = watch(made, [HeadState(0, begin, 0.0, 0.0)], config)
    assert found.loss == pytest.approx(float(head_fit.loss_of(q, p, batch, made, config)), rel=1e-4)
    assert found.trivial == pytest.approx(trivial_loss(made, config), rel=1e-4)
    assert found.positive_mean > found.negative_mean and 1 < found.effective_rank <= DIMS


def test_a_rate_too_low_is_found_out_and_the_better_one_is_named(vectors: HeadData) -> None:
    """A random start, squared errors and a tiny rate tell nothing apart; the alarm names a rate that learns."""
    config = HeadConfig(kind="mlp", start="random", loss="cosine_mse", rate=1e-5, epochs=40, batch_size=16)
    trained = train_head(vectors, config, silent)
    assert trained.alarm is not None and trained.alarm.cause == "rate too low"
    assert "reaches" in trained.alarm.evidence and trained.record()["alarm"]["remedy"].startswith("take rate")
    assert all(alarm is None for alarm in alarms([each for each in probe_of(vectors, config) if each.rate > 1e-3]))


def probe_of(data: HeadData, config: HeadConfig) -> Sequence[Tried]:
    """Every rate."""
    return probe(data, examples(data, config), start(data, config), replace(config, rate=0.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "deep"}, "expected one of linear, mlp"),
        ({"rate": 2.0}, "expected 0 to 1"),
        ({"hidden": 9}, "no hidden layer"),
        ({"dims": 17}, "16 at most"),
        ({"kind": "mlp", "hidden": 31}, "32 at least"),
    ],
)
def test_settings_that_make_no_sense_are_refused(vectors: HeadData, settings: dict[str, object], message: str) -> None:
    """With the key, the value and what is expected."""
    with pytest.raises(ConfigInvalid, match=message):
        start(vectors, HeadConfig(**settings))  # type: ignore[arg-type]


def test_vectors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A row that is not there, a query that is trained and held out, pickles, NaN, unlike dims."""
    folder = save_vectors(tmp_path / "set")
    qrels = folder / "qrels" / "train.tsv"
    good = qrels.read_text()
    for text, message in (
        (good + "96\t0\t1\n", "not in queries.npy"),
        (good + "95\t0\t1\n", "are in splits train and"),
    ):
        qrels.write_text(text)
        with pytest.raises(DataInvalid, match=message):
            of_vectors(folder)
    qrels.write_text(good)
    array = np.load(folder / "passages.npy")
    for bad, message in ((array[:, :4], "queries have 16 dims, passages 4"), (array * np.nan, "finite floats")):
        np.save(folder / "passages.npy", bad)
        with pytest.raises(DataInvalid, match=message):
            of_vectors(folder)
    np.save(folder / "passages.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(DataInvalid, match="cannot be read as an array"):
        of_vectors(folder)


def test_the_command_on_vectors_writes_a_head(tmp_path: Path) -> None:
    """`samespace train-head vectors`: a head that knows its source and its own space."""
    folder = save_vectors(tmp_path / "set")
    arguments = ["train-head", "vectors", str(folder), "-o", str(tmp_path / "head"), "--rate", "1e-2", "--space", SPACE]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    heads = load_heads(tmp_path / "head")
    assert result.exit_code == 0 and str(heads.space_id()) in result.output
    assert heads.shared and heads.sources == {"query": SPACE, "passage": SPACE}


WORDS = [
    "reset password",
    "flatten list",
    "install update",
    "error code",
    "user name",
    "return value",
    "text index",
    "space data",
]


def save_texts(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """A tiny set in the BEIR layout: question i is answered by passage i; one passage is longer than the limit."""
    (folder / "qrels").mkdir(parents=True)
    passages = [
        f"{each} " * (1 + 20 * (row == 1)) + f"the file number {row} is {row * 37}" for row, each in enumerate(words)
    ]
    lines = [json.dumps({"_id": f"p{row}", "text": text}) for row, text in enumerate(passages)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    lines = [json.dumps({"_id": f"q{row}", "text": f"how do i {each} {row * 91}"}) for row, each in enumerate(words)]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    for split, rows in (("train", range(4)), ("dev", range(4, 6)), ("test", range(6, 8))):
        (folder / "qrels" / f"{split}.tsv").write_text("".join(f"q{row}\tp{row}\t1\n" for row in rows))
    return folder


def test_what_was_encoded_is_read_back(tiny_artifact: Path, tmp_path: Path) -> None:
    """The second time nothing is encoded; another role, text or damaged file is; pooling is the encoder's own."""
    frozen = open_frozen(str(tiny_artifact), cache=tmp_path / "cache")
    texts = ["reset", "vector space " * 60, "error code"]
    first = frozen.embed(texts, "passage")
    assert frozen.encoded == 3 and first.windows.tolist()[1] > 1
    wanted = np.asarray(Encoder.load(tiny_artifact, build="fp32").encode(texts, "passage"))
    assert np.abs(first.pooled() - wanted).max() < 1e-5
    again = open_frozen(str(tiny_artifact), cache=tmp_path / "cache")
    assert np.array_equal(again.embed(texts, "passage").vectors, first.vectors) and again.encoded == 0
    again.embed(texts, "query")
    again.embed([*texts, "more"], "passage")
    assert again.encoded == 7
    (file,) = [each for each in (tmp_path / "cache").iterdir() if np.load(each)["windows"].shape == (4,)]
    file.write_bytes(file.read_bytes()[:-30])
    assert len(again.embed([*texts, "more"], "passage")) == 4 and again.encoded == 11
    assert all(each.stat().st_mode & 0o077 == 0 for each in (tmp_path / "cache").iterdir())


def test_held_out_texts_are_not_trained_on(tiny_artifact: Path, tmp_path: Path) -> None:
    """A test query among the training queries stops the training, unless it is allowed."""
    folder = save_texts(tmp_path / "set")
    (folder / "qrels" / "train.tsv").write_text("q0\tp0\t1\nq1\tp1\t1\nq6\tp6\t1\n")
    frozen = open_frozen(str(tiny_artifact))
    with pytest.raises(DataInvalid, match="1 held-out queries and 1 held-out passages"):
        of_texts(folder, {"query": frozen, "passage": frozen}, silent)
    allowed = of_texts(folder, {"query": frozen, "passage": frozen}, silent, allow_leakage="all")
    assert allowed.record["leaked"] == {"query": 1, "passage": 1} and allowed.record["trained_on"] == {"test": 1}
    said = train_head(allowed, HeadConfig(rate=1e-3), silent).summary()
    assert "on test, 1 questions of which are trained on: too good" in said and "p =" not in said
    dropped = of_texts(folder, {"query": frozen, "passage": frozen}, silent, drop_leaks=True)
    assert (len(allowed.pairs), len(dropped.pairs)) == (3, 2) and dropped.record["trained_on"] == {}
    assert (dropped.record["pairs"], dropped.record["dropped_leaks"]) == (2, 1)


def test_nothing_left_without_the_leaks_is_said(tiny_artifact: Path, tmp_path: Path) -> None:
    """How many leak stands in the message: what is wrong is the set, and not its size."""
    folder = save_texts(tmp_path / "set")
    (folder / "qrels" / "train.tsv").write_text("q0\tp0\t1\nq6\tp6\t1\n")
    frozen = open_frozen(str(tiny_artifact))
    with pytest.raises(DataInvalid, match="1 pairs in split train; at least 2 are needed; 1 leak and were left out"):
        of_texts(folder, {"query": frozen, "passage": frozen}, silent, drop_leaks=True)


def test_the_command_writes_an_artifact_with_its_evidence(tiny_artifact: Path, tmp_path: Path) -> None:
    """`samespace train-head`: scores beside BM25 and the base, and an artifact with the head inside."""
    folder, out = save_texts(tmp_path / "set"), tmp_path / "out"
    arguments = ["train-head", str(tiny_artifact), str(folder), "-o", str(out), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(cli, [*arguments, "--dims", "8", "--rate", "1e-2"], catch_exceptions=False)
    artifact = open_artifact(out)
    assert result.exit_code == 0 and artifact.space_id in result.output and "BM25" in result.output
    assert Encoder.load(artifact, build="fp32").encode(["reset"], "query").dims == 8
    record = artifact.manifest.provenance["head"]
    assert [each["name"] for each in record["scores"]] == ["BM25", "base", "start", "head"]
    assert record["sources"]["query"] == open_artifact(tiny_artifact).space_id
    assert f"- Head: {record['summary']}" in (out / "README.md").read_text()
    with pytest.raises(Exception, match="artifact already"):
        CliRunner().invoke(cli, [*arguments, "--rate", "1e-2"], catch_exceptions=False)


def test_the_command_aligns_two_encoders(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """`samespace align`: queries of the one find passages of the other through one two-tower artifact."""
    folder, out = save_texts(tmp_path / "set"), tmp_path / "out"
    common = [
        "--data",
        str(folder),
        "-o",
        str(out),
        "--cache",
        str(tmp_path / "cache"),
        "--rate",
        "1e-3",
        "--dims",
        "8",
    ]
    arguments = ["align", str(tiny_artifact), str(other_artifact), *common]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    artifact = open_artifact(out)
    assert result.exit_code == 0 and artifact.space_id in result.output
    encoder = Encoder.load(artifact, build="fp32")
    found = encoder.encode(["reset password"], "query") @ encoder.encode(["reset", "error"], "passage").T
    assert found.shape == (1, 2) and artifact.manifest.provenance["head"]["sources"] == {
        "query": open_artifact(tiny_artifact).space_id,
        "passage": open_artifact(other_artifact).space_id,
    }
    with pytest.raises(RequestInvalid, match="can be compared already"):
        align_encoders(str(tiny_artifact), str(tiny_artifact), HeadRequest(folder, tmp_path / "same"))
    with pytest.raises(RequestInvalid, match="can be compared already"):
        CliRunner().invoke(
            cli, ["align", str(tiny_artifact), str(tiny_artifact), *common, "--replace"], catch_exceptions=False
        )
    with pytest.raises(ModelUnsupported, match="composite"):
        open_frozen(str(out))
