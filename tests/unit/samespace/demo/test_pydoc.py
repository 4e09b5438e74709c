"""Retrieval sets out of docstrings."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from samespace.demo.docstrings import PASSAGE_WORDS, documented, question_and_answer
from samespace.demo.pydoc_set import Package, Pair, installed_packages, make_pydoc_set, package_pairs, split_pairs
from samespace.errors import DataInvalid
from samespace.evaluation import load_dataset, splits
from samespace.training.data.near_duplicates import DUPLICATE, find_near

PROSE = (
    "The tree is walked from the root to the leaves, and each node that is met on the way is counted once, so that "
    "the answer for a graph with a cycle is that of its spanning tree."
)
SUMMARY = "Count how many leaves a rooted tree has."


def doc(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs)


def test_the_summary_asks_and_the_rest_answers() -> None:
    """The summary is not in the passage, line breaks are, and the parameters are left out."""
    pair = question_and_answer(doc(SUMMARY, PROSE, "Args:\n    tree: the tree"))
    assert pair == (SUMMARY, PROSE)


@pytest.mark.parametrize(
    ("docstring", "why"),
    [
        (SUMMARY, "there is no rest"),
        (doc("Count.", PROSE), "the summary is too short to ask anything"),
        (doc(SUMMARY, "Args:\n    tree: the tree to count the leaves of", PROSE), "parameters come first"),
        (doc(SUMMARY, ":param tree: " + PROSE), "parameters come first"),
        (doc(SUMMARY, ">>> leaves(tree) " + PROSE), "an example comes first"),
        (doc(SUMMARY, "Notes\n-----\n" + PROSE), "a heading comes first"),
        (doc(SUMMARY, "It is what it is."), "the rest is too short"),
        (doc(SUMMARY, PROSE + " Deprecated since 2.0."), "deprecated"),
        (doc(SUMMARY, "This will count how many leaves a rooted tree has. " + PROSE), "the rest repeats the summary"),
        (
            doc(SUMMARY, "Der Baum wird von der Wurzel zu den Blättern durchlaufen und jeder Knoten gezählt. " * 3),
            "German",
        ),
        (doc("Zähle wie viele Blätter ein Baum hat", PROSE), "the summary is not English"),
    ],
)
def test_an_unfair_pair_is_left_out(docstring: str, why: str) -> None:
    """Each kind of docstring that would not make a question and its answer gives nothing."""
    assert question_and_answer(docstring) is None, why


def test_a_long_rest_ends_with_a_whole_paragraph() -> None:
    """Paragraphs are kept while they fit; none is cut."""
    pair = question_and_answer(doc(SUMMARY, *[PROSE] * 10))
    assert pair is not None
    assert pair[1] == "\n".join([PROSE] * (PASSAGE_WORDS[1] // len(PROSE.split())))


def test_public_places_are_found_and_private_ones_are_not() -> None:
    """Module, class, method and function, by their dotted place; nothing below an underscore, and no import."""
    text = f'"""{SUMMARY}\n\n    {PROSE}\n    """'
    source = f"""{text}
raise RuntimeError("never run")
class A:
    {text}
    def b(self):
        {text}
    def _c(self):
        {text}
class _D:
    def e(self):
        {text}
async def f():
    {text}
"""
    assert [found.name for found in documented(source)] == ["", "A", "A.b", "f"]
    assert list(documented("def broken(:")) == []


def package(folder: Path, name: str, count: int) -> Package:
    """A package of *count* modules with a docstring each, no two alike."""
    folder.mkdir()
    files = {}
    for number in range(count):
        random = Random(f"{name} {number}")
        made_up = ["".join(random.choices("aeioubdfgklmnprstvz", k=7)) for _ in range(30)]
        path = folder / f"m{number}.py"
        path.write_text(
            f'"""Find the {" ".join(made_up[:4])}.\n\nThe {made_up[4]} of the {" and the ".join(made_up[5:])}.\n"""\n'
        )
        files[f"{name}/m{number}.py"] = path
    return Package(name, "1.0", "MIT", files)


@pytest.fixture
def packages(tmp_path: Path) -> list[Package]:
    return [package(tmp_path / name, name, 150) for name in ("alpha", "beta")]


def test_a_set_is_complete_and_the_same_each_time(tmp_path: Path, packages: list[Package]) -> None:
    """Two makings give the same bytes; every split can be loaded; the README names packages and licences."""
    options = {"most_pairs": 280, "dev_pairs": 30, "test_pairs": 50}
    made = make_pydoc_set(tmp_path / "one", packages=packages, **options)
    make_pydoc_set(tmp_path / "two", packages=packages[::-1], **options)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/dev.tsv", "qrels/test.tsv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert splits(made.folder) == ("dev", "test", "train")
    sizes = {split: len(load_dataset(made.folder, split).queries) for split in ("train", "dev", "test")}
    assert sizes == made.pairs
    assert sizes["test"] <= 50
    assert sizes["train"] > sizes["test"] > 0
    readme = (made.folder / "README.md").read_text()
    assert "| alpha | 1.0 | MIT |" in readme
    passages = [json.loads(line)["text"] for line in (made.folder / "corpus.jsonl").read_text().splitlines()]
    assert len(passages) == sum(sizes.values())
    assert not list(tmp_path.glob(".*.partial"))


def test_a_set_is_not_written_over_another(tmp_path: Path, packages: list[Package]) -> None:
    """A folder that exists is refused before anything is read."""
    (tmp_path / "one").mkdir()
    with pytest.raises(DataInvalid, match="exists already"):
        make_pydoc_set(tmp_path / "one", packages=packages)


def test_too_little_documentation_is_said(tmp_path: Path) -> None:
    """A machine with hardly any packages gets a sentence, not a set of three pairs."""
    with pytest.raises(DataInvalid, match="only 20 usable docstrings in 1 packages"):
        make_pydoc_set(tmp_path / "one", packages=[package(tmp_path / "p", "gamma", 20)])


def test_a_package_gives_at_most_its_share(packages: list[Package]) -> None:
    """150 docstrings, a share of 40: the same 40 each time."""
    taken = package_pairs(packages[0], share=40)
    assert len(taken) == 40
    assert taken == package_pairs(packages[0], share=40)


def test_related_texts_share_a_split() -> None:
    """Pairs whose passages are half alike are never on two sides of a split, and big families are for training."""
    pairs = []
    for family in range(60):
        base = [f"w{family}x{i * 37 % 101}" for i in range(30)]
        for member in range(20 if family == 0 else 3):
            words = [*base[:24], *(f"v{family}y{member}z{i}" for i in range(6))]
            pairs.append(
                Pair(
                    f"p/{family:02}.{member}", "p", f"ask {family} of {member * 991} and {family * 77}", " ".join(words)
                )
            )
    split = split_pairs(pairs, dev_pairs=20, test_pairs=30)
    where = {pair.key: name for name, part in split.items() for pair in part}
    for family in range(60):
        assert len({name for key, name in where.items() if key.startswith(f"p/{family:02}.")}) == 1
    assert where["p/00.0"] == "train"
    assert len(split["test"]) == 30
    assert len(split["dev"]) in (18, 19, 20)
    held_out = [pair.passage for name in ("dev", "test") for pair in split[name]]
    assert set(find_near(held_out, [pair.passage for pair in split["train"]], DUPLICATE)) == {-1}


def test_the_installed_packages_are_seen_without_their_tests() -> None:
    """The standard library is there with its licence, and no test file of any package."""
    found = {package.name: package for package in installed_packages()}
    assert found["python"].licence == "PSF-2.0"
    assert "json/decoder.py" in found["python"].files
    assert "numpy" in found
    assert not any("test" in Path(name).name for package in found.values() for name in package.files)
