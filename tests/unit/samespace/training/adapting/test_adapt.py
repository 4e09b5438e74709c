"""Adapting as a whole, with tiny encoders: what is written, what is not, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from html import escape  # noqa: E402 - after the skip

from click.testing import CliRunner  # noqa: E402 - after the skip
from huggingface_hub import ModelCard  # noqa: E402

from fakes.generator import StandIn, generator  # noqa: E402
from fakes.library import pages, rows  # noqa: E402
from samespace.cli import cli  # noqa: E402
from samespace.errors import ConfigInvalid, DataInvalid  # noqa: E402
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint  # noqa: E402
from samespace.progress import Advance  # noqa: E402
from samespace.training.adapting import course  # noqa: E402
from samespace.training.adapting.documents import read_documents  # noqa: E402
from samespace.training.adapting.heldout import hold_out  # noqa: E402
from samespace.training.adapting.run import Adaptation, AdaptSettings, adapt  # noqa: E402
from samespace.training.adapting.verdict import BETTER  # noqa: E402
from samespace.training.finetuning import teachers  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pages(tmp_path_factory.mktemp("documents") / "pages", 70)


@dataclass
class Liar:
    """A teacher that puts other passages above the right ones."""

    name: str = "liar"
    cosines: bool = True

    def read(self, queries: Sequence[str], passages: Sequence[str], advance: Advance) -> None:
        pass

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        return [-float(len(set(query.split()) & set(passage.split()))) for query, passage in pairs]


@pytest.fixture(scope="module")
def learned(
    tiny_checkpoint: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Adaptation, list[str]]:
    """An adaptation at a rate at which a random encoder learns something, written whatever came of it."""
    said: list[str] = []
    out = tmp_path_factory.mktemp("adapted") / "out"
    settings = AdaptSettings(folder, str(tiny_checkpoint), out, steps=24, rate=3e-3, anyway=True)
    return adapt(settings, say=said.append), said


def test_what_is_written_is_what_was_judged(learned: tuple[Adaptation, list[str]], tiny_checkpoint: Path) -> None:
    """The folder's encoder is another space than its base's; its record has verdict, stages and what was held out."""
    found, _ = learned
    assert found.written is not None and found.verdict is not None
    record = json.loads((found.written / "run.json").read_text(encoding="utf-8"))
    assert record["better_than_base"] == (found.verdict.word == BETTER) == found.better
    assert record["adapted"]["parts"]["dev"] + record["adapted"]["parts"]["test"] < 70
    assert {"questions", "openings", "cloze"} <= {each["name"] for each in record["tried"]}
    assert load_checkpoint(str(found.written)).identity.space_id() != record["base_space_id"]
    assert record["base_space_id"] == load_checkpoint(str(tiny_checkpoint)).identity.space_id()
    card = (found.written / "README.md").read_text(encoding="utf-8")
    assert found.verdict.sentence() in card and "nobody asked" in card
    data = ModelCard(card).data
    assert data.library_name == "sentence-transformers" and len(data.eval_results) == 1
    assert set(record["beside"]) == {"bm25", "base"} and set(record["scores"]) == {"bm25", "base", "new"}
    assert record["beside"]["base"]["mean"] == pytest.approx(found.verdict.overall.mean)
    page = (found.written / "report.html").read_text(encoding="utf-8")
    assert (
        page.index(escape(found.verdict.sentence())) < page.index("Scores on held-out") < page.index("What was tried")
    )
    assert "bm25" in page and "right answer" in page and "Map:" in page


def test_the_scores_are_those_of_trec_eval(learned: tuple[Adaptation, list[str]], folder: Path) -> None:
    """nDCG@10 of the written folder on the held-out questions, made again from its vectors by trec_eval."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    found, _ = learned
    encoder = CheckpointEncoder(load_checkpoint(str(found.written)))
    for kind, dataset in hold_out(read_documents(folder)).questions["test"].items():
        q = np.asarray(encoder.encode(dataset.queries, "query"))
        p = np.asarray(encoder.encode(dataset.passages, "passage"))
        run = {
            query: dict(zip(dataset.passage_ids, map(float, row), strict=True))
            for query, row in zip(dataset.query_ids, q @ p.T, strict=True)
        }
        qrels = {query: {name: int(grade) for name, grade in each.items()} for query, each in dataset.qrels.items()}
        theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
        expected = sum(each["ndcg_cut_10"] for each in theirs.values()) / len(theirs)
        assert found.record["scores"]["new"][kind]["ndcg@10"] == pytest.approx(expected, abs=1e-3)


def test_nothing_worse_than_the_base_is_written(tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    """A rate that breaks the encoder: every stage is thrown away, nothing is written, and the exit code is 3."""
    settings = ["--base", str(tiny_checkpoint), "--steps", "6", "--learning-rate", "0.5"]
    found = CliRunner().invoke(cli, ["adapt", str(folder), "--out", str(tmp_path / "out"), *settings])
    assert found.exit_code == 3, found.output
    assert "No better than its base" in found.output or "Worse than its base" in found.output
    assert "switched off" in found.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists() and list(tmp_path.iterdir()) == []


def test_a_teacher_that_is_worse_is_not_learned_from(
    tiny_checkpoint: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with both scores, and BM25 with the base takes its place."""
    for module in (course, teachers):  # who learns from it, and who scores it beside the others
        monkeypatch.setattr(module, "open_teacher", lambda *_: Liar())
    said: list[str] = []
    log = tmp_path / "log.txt"
    log.write_text("reset the password\n")
    settings = AdaptSettings(
        folder, str(tiny_checkpoint), tmp_path / "out", teacher="models/liar", steps=3, queries=log
    )
    found = adapt(settings, say=said.append)
    refused = next(line for line in said if "teacher liar" in line)
    imitated = any(each["name"].startswith("imitate") for each in found.record["tried"])
    assert imitated != any("1 queries of the log are not used" in note for note in found.record["notes"])
    assert "is no better than the base" in refused and refused in found.record["notes"]
    assert any(line.startswith("learn from the base + ") for line in said)


@pytest.mark.parametrize(
    ("documents", "message"),
    [({"count": 10}, "at least 20 are needed"), ({"count": 80, "sentences": 1}, "give 0 held-out questions")],
)
def test_too_little_is_refused_before_anything_is_trained(
    tiny_checkpoint: Path, tmp_path: Path, documents: dict[str, Any], message: str
) -> None:
    """Ten documents; documents of one sentence without titles."""
    file = rows(tmp_path / "rows.jsonl", **documents)
    with pytest.raises(DataInvalid, match=message):
        adapt(AdaptSettings(file, str(tiny_checkpoint), tmp_path / "out", steps=3))
    assert not (tmp_path / "out").exists()


def test_a_target_that_exists_is_left_alone(tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    """It is refused before the documents are read."""
    with pytest.raises(ConfigInvalid, match="exists already"):
        adapt(AdaptSettings(tmp_path / "nowhere", str(tiny_checkpoint), folder))


def test_steps_instead_of_a_budget_are_the_same_again(tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    """Two runs with --steps make the same choices, and the same encoder."""
    runs = []
    for number in range(2):
        settings = AdaptSettings(
            folder, str(tiny_checkpoint), tmp_path / f"out{number}", steps=6, rate=3e-3, anyway=True
        )
        found = adapt(settings)
        space = load_checkpoint(str(found.written)).identity.space_id() if found.written else ""
        runs.append((space, [each | {"training_s": 0} for each in found.record["tried"]]))
    assert runs[0] == runs[1]
    assert any(each["gain"]["mean"] != 0 for each in runs[0][1])


def test_a_generator_that_stops_leaves_what_it_wrote(tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    """Its questions are a signal like the others, and judge; that it stopped is in the record."""
    pytest.importorskip("httpx")

    def write(text: str) -> str:
        words = text.split()
        return f"what about {' '.join(words[1:12:2])}?\nand {' '.join(words[2:13:2])}?"

    said: list[str] = []
    with generator(StandIn(write, dies_after=100)) as stand_in:
        settings = AdaptSettings(folder, str(tiny_checkpoint), tmp_path / "out", generator=stand_in.url, steps=2,
                                 cache=tmp_path / "cache" / "embeddings")  # fmt: skip
        found = adapt(settings, say=said.append)
    assert len(stand_in.asked) == 100 and any("requests to the generator" in line for line in said)
    notes = " ".join(found.record["notes"])
    assert "The generator stopped" in notes and "and are used" in notes
    assert found.record["adapted"]["pairs"]["generated"] > 0
    assert any(kind.startswith("generated") for kind in found.record["adapted"]["questions"]["test"])
    assert list((tmp_path / "cache" / "generated").glob("*.jsonl"))
