"""Every way in which `adapt` cannot do what it was asked for ends in a refusal or a fallback that names it.

Too few documents, documents without sentences, a generator that dies in the middle, a teacher that is worse and a rate
that breaks the encoder: `test_adapt`. Here: no structure, several languages, a generator that lies or stays away.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("httpx", reason="needs the extra weaviate")

from fakes.generator import StandIn, generator
from fakes.library import pages, rows
from samespace.errors import ConfigInvalid
from samespace.training.adapting.run import Adaptation, AdaptSettings, adapt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pages(tmp_path_factory.mktemp("documents") / "pages", 70)


def run(settings: AdaptSettings) -> tuple[Adaptation, list[str]]:
    """What came of it, and what was said."""
    said: list[str] = []
    settings = replace(settings, steps=2, anyway=True, cache=settings.out.parent / "cache" / "embeddings")
    return adapt(settings, say=said.append), said


def test_documents_without_structure_are_judged_by_their_sentences(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """No title, no heading, no link: a note says what stands for questions, and the verdict says what it rests on."""
    file = rows(tmp_path / "rows.jsonl", 120)
    found, said = run(AdaptSettings(file, str(tiny_checkpoint), tmp_path / "out"))
    note = next(line for line in found.record["notes"] if "hardly any titles" in line)
    assert "sentences of the texts have to stand for questions" in note and note in said
    kinds = {kind.partition(" (")[0] for kind in found.record["adapted"]["questions"]["test"]}
    assert kinds <= {"openings", "cloze", "neighbours", "crops"}
    if found.verdict is not None:
        assert "which nobody asked" in found.verdict.rests_on()


def test_two_languages_are_named_and_judged_apart(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Shares in a note, and a kind of question for each language: what one gains does not hide what the other loses."""
    plain = rows(tmp_path / "plain.jsonl", 240)
    added = {0: "Das ist für sie und nicht mit der oder den.", 1: "This is for you and the others of it."}
    with (tmp_path / "rows.jsonl").open("w") as mixed:
        for row, line in enumerate(plain.read_text().splitlines()):
            entry = json.loads(line)
            mixed.write(json.dumps(entry | {"text": f"{entry['text']} {added[min(1, row % 3)]}"}) + "\n")
    found, _ = run(AdaptSettings(tmp_path / "rows.jsonl", str(tiny_checkpoint), tmp_path / "out"))
    note = next(line for line in found.record["notes"] if "several languages" in line)
    assert "english" in note and "german" in note and "judged by itself" in note
    kinds = list(found.record["adapted"]["questions"]["test"])
    assert any("english" in kind for kind in kinds) and any("german" in kind for kind in kinds)
    if found.verdict is not None:
        assert set(found.verdict.kinds) == set(kinds)


@pytest.mark.parametrize(
    "lie",
    [lambda _: "What is this text about?", lambda _: "the zzz of yyy?\nxxx www?"],
)
def test_a_generator_that_lies_is_not_used(
    tiny_checkpoint: Path, folder: Path, tmp_path: Path, lie: Callable[[str], str]
) -> None:
    """One question for all, and words that are nowhere: the structure is used without it."""
    with generator(StandIn(lie)) as stand_in:
        found, _ = run(AdaptSettings(folder, str(tiny_checkpoint), tmp_path / "out", generator=stand_in.url))
    notes = " ".join(found.record["notes"])
    assert "none is used" in notes
    assert found.record["adapted"]["pairs"]["generated"] == 0
    assert not any(kind.startswith("generated") for kind in found.record["adapted"]["questions"]["test"])
    assert any(each["name"] == "questions" for each in found.record["tried"])


def test_a_generator_that_stays_away_is_named(tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    """503 from the first request on: a note, and the documents' structure."""
    with generator(StandIn(lambda text: text, dies_after=0)) as stand_in:
        found, _ = run(AdaptSettings(folder, str(tiny_checkpoint), tmp_path / "out", generator=stand_in.url))
    assert "The generator stopped" in " ".join(found.record["notes"])
    assert found.record["adapted"]["pairs"]["generated"] == 0


def test_a_generator_that_refuses_ends_it(tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    """A wrong key, before anything is trained or written."""
    with generator(StandIn(lambda text: text, status=401)) as stand_in, pytest.raises(ConfigInvalid, match="401"):
        run(AdaptSettings(folder, str(tiny_checkpoint), tmp_path / "out", generator=stand_in.url))
    assert not (tmp_path / "out").exists()
