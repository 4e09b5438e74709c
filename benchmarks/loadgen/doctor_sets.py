"""Sets for the doctor's benchmark: healthy ones out of five public sets, and faults planted in them."""

from __future__ import annotations

import html
import json
import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from samespace.training.data.examples import Examples, TrainingData
from samespace.training.data.sources import load_data
from samespace.training.doctor import Questions, material_of, resplit

ALONE = {"scifact": "test", "cranfield": "test", "stackfaq": "test", "covidqa_long": "test_late", "medquad": "dev"}
COLUMNS = ("queries", "passages", "negatives", "labels", "weights", "query_ids", "passage_ids", "negative_ids")
Rows = list[dict[str, Any]]
SEED = 7
MOST = 3000


@dataclass(frozen=True, slots=True)
class Fault:
    """A set with something wrong in it.

    Attributes:
        right: names of findings that say so; () where nothing may be said.
        true: names of findings that are so too, and that nobody has to make.
    """

    data: TrainingData
    right: tuple[str, ...]
    true: tuple[str, ...] = ()


Made = Callable[[], TrainingData]


def published(root: Path) -> Iterator[tuple[str, Made]]:
    """As they are, with what they share between splits."""
    for name in ("scifact", "cranfield", "medquad"):
        yield name, partial(load_data, root / name)


def healthy(root: Path) -> Iterator[tuple[str, Made]]:
    """Sets with nothing wrong in them that is known."""
    for name in ("stackfaq", "covidqa_long"):
        yield name, partial(load_data, root / name)
    for name in ("scifact", "cranfield", "medquad"):
        yield f"{name}, split anew", partial(anew, root / name)
    for name, split in ALONE.items():
        yield f"{name}, {split} alone", partial(one_split, root / name, split)
    yield "scifact, titles and abstracts", partial(titles, root / "scifact")
    yield "cranfield, titles and abstracts", partial(titles, root / "cranfield")
    yield "covidqa_long, answering parts", partial(parts, root / "covidqa_long")
    yield "stackfaq, labelled", lambda: labelled(load_data(root / "stackfaq"))
    yield "scifact, titles with hard negatives", lambda: with_negatives(titles(root / "scifact"))


def planted(root: Path) -> Iterator[tuple[str, Made, Callable[[TrainingData], Fault]]]:
    """(fault | strength | set, the set without it, what plants it)."""
    made: dict[str, Made] = {
        "stackfaq": cache(partial(load_data, root / "stackfaq")),
        "scifact": cache(partial(anew, root / "scifact")),
        "titles": cache(partial(titles, root / "scifact")),
        "medquad": cache(lambda: cut(anew(root / "medquad"))),
        "stackfaq, labelled": cache(lambda: labelled(load_data(root / "stackfaq"))),
        "titles with hard negatives": cache(lambda: with_negatives(titles(root / "scifact"))),
    }
    for name, fault, strength, plant, right in _faults():
        yield f"{fault} | {strength} | {name}", made[name], partial(_fault, plant, right)


def _fault(plant: Callable[[TrainingData], TrainingData], right: tuple[str, ...], base: TrainingData) -> Fault:
    true = {
        "leaked_queries": ("leaked_passages",),  # passages come along
        "labels_by_chance": ("contradictory_labels",),  # the same pair with two labels
        "turned_labels": ("contradictory_labels",),
    }.get(right[0] if right else "", ())
    return Fault(plant(base), right, true)


def _faults() -> Iterator[tuple[str, str, str, Callable[[TrainingData], TrainingData], tuple[str, ...]]]:
    """(set, fault, strength, what plants it, findings that say so)."""
    for name in ("stackfaq", "scifact", "titles", "medquad"):
        for share in (1.0, 0.2, 0.05):
            yield name, "wrong positives", f"{share:.0%}", partial(wrong_positives, share=share), ("wrong_pairs",)
        for share in (0.1, 0.01):
            plant = partial(leaked, share=share, disguise=str.upper)
            yield name, "test queries in the training split", f"{share:.0%}", plant, ("leaked_queries",)
    for name in ("stackfaq", "titles"):
        plant = partial(leaked, share=0.1, disguise=_decomposed)
        yield name, "test queries in another Unicode form", "10%", plant, ("leaked_queries",)
        for share in (0.2, 0.05):
            yield name, "repeated examples", f"{share:.0%}", partial(repeated, share=share), ("repeated_examples",)
        yield name, "passages of dots", "5%", partial(wordless, share=0.05), ("texts_without_words",)
        yield name, "one sentence in passages", "30%", partial(sentence, share=0.3), ("boilerplate",)
    both, hard = "stackfaq, labelled", "titles with hard negatives"
    yield both, "inverted labels", "100%", partial(relabelled, change=lambda label: 1 - label), ("inverted_labels",)
    yield both, "shuffled labels", "100%", shuffled_labels, ("labels_by_chance",)
    yield both, "labels of one class", "100%", partial(relabelled, change=lambda _: 1.0), ("constant_labels",)
    either = ("known_false_negatives", "suspected_false_negatives")
    for share in (0.2, 0.05):
        yield hard, "answers among given negatives", f"{share:.0%}", partial(false_negatives, share=share), either
        yield hard, "halves of answers among them", f"{share:.0%}", partial(reworded_negatives, share=share), either
    yield "stackfaq", "look-alike questions, other answers", "10%", look_alikes, ()
    for name in ("stackfaq", "scifact"):
        for disguise, what in ((in_other_letters, "look-alike letters"), (marked_up, "HTML between words")):
            plant = partial(leaked, share=0.1, disguise=disguise)
            yield name, f"test queries in {what}", "10%", plant, ("leaked_queries",)
        for share in (1.0, 0.2):
            yield (
                name,
                "passages that begin with their query",
                f"{share:.0%}",
                partial(own_text, share=share),
                ("own_text",),
            )
            plant = partial(exchanged, share=share / 2)
            yield name, "columns exchanged", f"{share / 2:.0%}", plant, ("exchanged_columns",)
            plant = partial(one_negative, share=share)
            yield name, "one text as the negative", f"{share:.0%}", plant, ("same_negative",)
        yield name, "test rows that are six rows", "100%", six_rows, ("repeated_held_out",)
    for share in (0.3, 0.1):
        yield both, "inverted labels", f"{share:.0%}", partial(turned_labels, share=share), ("turned_labels",)


def one_split(folder: Path, split: str) -> TrainingData:
    """A split without the others."""
    data = load_data(folder)
    return replace(data, splits={split: data.splits[split]})


def anew(folder: Path) -> TrainingData:
    """Splits that share nothing."""
    data = load_data(folder)
    return replace(data, splits=resplit(material_of(data, Questions())).splits, notes=())


def cut(data: TrainingData) -> TrainingData:
    """At most `MOST` training examples, and the passages that are used."""
    splits = {name: part.rows(range(min(MOST, len(part)))) for name, part in data.splits.items()}
    return _with_corpus(splits, data.sources)


def _with_corpus(splits: dict[str, Examples], sources: Sequence[Path]) -> TrainingData:
    corpus: dict[str, str] = {}
    for part in splits.values():
        corpus.update(zip(part.passage_ids, part.passages, strict=True))
        for names, texts in zip(part.negative_ids, part.negatives, strict=True):
            corpus.update(zip(names, texts, strict=True))
    return TrainingData(tuple(sources), splits, corpus)


def made(name: str, rows: Rows, *, is_labelled: bool = False) -> TrainingData:
    """A set of rows with "query", "passage" and perhaps "negatives" or "label"; split by a hash of the passage."""
    parts: dict[str, Rows] = {"train": [], "dev": [], "test": []}
    for row in rows:
        place = sha256(row.get("key", row["passage"]).encode()).digest()[0]
        parts["dev" if place < 26 else "test" if place < 64 else "train"].append(row)
    splits = {}
    names: dict[str, str] = {}
    for split, part in parts.items():
        splits[split] = Examples(
            queries=tuple(row["query"] for row in part),
            passages=tuple(row["passage"] for row in part),
            negatives=tuple(tuple(row.get("negatives", ())) for row in part),
            labels=tuple(row.get("label", 1.0) for row in part),
            weights=(1.0,) * len(part),
            query_ids=tuple(names.setdefault("q" + row["query"], f"q{len(names)}") for row in part),
            passage_ids=tuple(names.setdefault("p" + row["passage"], f"p{len(names)}") for row in part),
            negative_ids=tuple(
                tuple(names.setdefault("p" + text, f"p{len(names)}") for text in row.get("negatives", ()))
                for row in part
            ),
            labelled=is_labelled,
        )
    return _with_corpus(splits, (Path(name),))


def titles(folder: Path) -> TrainingData:
    """A title is the query, its abstract without the title the passage."""
    rows, seen = [], set()
    for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        title, text = row.get("title", "").strip(), row["text"].strip()
        if title and text and title.lower() not in seen:
            seen.add(title.lower())
            rows.append({"query": title, "passage": text})
    return made(f"{folder.name} titles", rows)


def parts(folder: Path) -> TrainingData:
    """A question and the 1000 characters around its answer."""
    papers = {
        row["_id"]: row["text"] for row in map(json.loads, (folder / "corpus.jsonl").read_text("utf-8").splitlines())
    }
    asked = {
        row["_id"]: row["text"] for row in map(json.loads, (folder / "queries.jsonl").read_text("utf-8").splitlines())
    }
    rows, seen = [], set()
    for span in map(json.loads, (folder / "spans.jsonl").read_text("utf-8").splitlines()):
        if span["query-id"] not in seen:
            seen.add(span["query-id"])
            middle = (span["char_start"] + span["char_end"]) // 2
            text = papers[span["corpus-id"]][max(0, middle - 500) : middle + 500].strip()
            rows.append({"query": asked[span["query-id"]], "passage": text, "key": span["corpus-id"]})
    return made("covidqa parts", rows)


def labelled(data: TrainingData) -> TrainingData:
    """Each pair with label 1, and as many with a passage of another query and label 0."""
    random_ = random.Random(SEED)
    splits = {}
    for name, part in data.splits.items():
        right = set(zip(part.queries, part.passages, strict=True))
        order = list(range(len(part)))
        random_.shuffle(order)
        wrong = [
            (row, other)
            for row, other in zip(range(len(part)), order, strict=True)
            if (part.queries[row], part.passages[other]) not in right
        ]
        both = part.rows([*range(len(part)), *(row for row, _ in wrong)])
        others = [other for _, other in wrong]
        splits[name] = replace(
            both,
            passages=(*part.passages, *(part.passages[other] for other in others)),
            passage_ids=(*part.passage_ids, *(part.passage_ids[other] for other in others)),
            negatives=((),) * len(both),
            negative_ids=((),) * len(both),
            labels=(1.0,) * len(part) + (0.0,) * len(wrong),
            labelled=True,
        )
    return replace(data, splits=splits, notes=())


def with_negatives(data: TrainingData) -> TrainingData:
    """Each pair with the passage that BM25 finds next, as mining does."""
    from samespace.evaluation import Bm25Ranker
    from samespace.training.data.retrieval_set import as_dataset

    splits = {}
    for name, part in data.splits.items():
        found = Bm25Ranker().rank(as_dataset(data, name), 8).rows
        ids = list(data.corpus)
        wrong = []
        used = set(part.passage_ids)
        for row in range(len(part)):
            near = [ids[at] for at in found[row] if at >= 0 and ids[at] != part.passage_ids[row] and ids[at] in used]
            wrong.append(near[0] if near else part.passage_ids[row - 1])
        splits[name] = replace(
            part, negatives=tuple((data.corpus[each],) for each in wrong), negative_ids=tuple((each,) for each in wrong)
        )
    return _with_corpus(splits, data.sources)


def _changed(data: TrainingData, change: Callable[[Examples, random.Random], Examples]) -> TrainingData:
    splits = dict(data.splits)
    splits["train"] = change(splits["train"], random.Random(SEED))
    new = _with_corpus(splits, data.sources)
    return replace(data, splits=splits, corpus={**data.corpus, **new.corpus})


def _chosen(part: Examples, share: float, draw: random.Random) -> list[int]:
    return sorted(draw.sample(range(len(part)), round(share * len(part))))


def wrong_positives(data: TrainingData, share: float) -> TrainingData:
    """Some pairs have a passage drawn from all others."""

    def change(part: Examples, draw: random.Random) -> Examples:
        passages, ids = list(part.passages), list(part.passage_ids)
        for row in _chosen(part, share, draw):
            other = draw.randrange(len(part))
            passages[row], ids[row] = part.passages[other], part.passage_ids[other]
        return replace(part, passages=tuple(passages), passage_ids=tuple(ids))

    return _changed(data, change)


def leaked(data: TrainingData, share: float, disguise: Callable[[str], str]) -> TrainingData:
    """Some test queries, with their passages, are among the training examples, written otherwise."""
    test = data.splits["test"]
    draw = random.Random(SEED)
    rows = test.rows(_chosen(test, share, draw))
    again = replace(
        rows,
        queries=tuple(disguise(text) for text in rows.queries),
        query_ids=tuple(f"again-{name}" for name in rows.query_ids),
    )

    def change(part: Examples, _: random.Random) -> Examples:
        joined = {
            name: getattr(part, name) + getattr(again, name)
            for name in (
                "queries",
                "passages",
                "negatives",
                "labels",
                "weights",
                "query_ids",
                "passage_ids",
                "negative_ids",
            )
        }
        return replace(part, **joined)

    return _changed(data, change)


def _decomposed(text: str) -> str:
    """Full width and decomposed: other code points throughout, the same text."""
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)
    return unicodedata.normalize("NFD", wide)


_CYRILLIC = str.maketrans("aeopcxyAEOPCTBHKMX", "аеорсхуАЕОРСТВНКМХ")


def in_other_letters(text: str) -> str:
    """The same to the eye; letters of confusables.txt of Unicode."""
    return text.translate(_CYRILLIC)


def marked_up(text: str) -> str:
    """As a web page has it."""
    return f"<p>{html.escape(text).replace(' ', ' <b></b>')}</p>"


def own_text(data: TrainingData, share: float) -> TrainingData:
    """Some training passages begin with their query."""

    def change(part: Examples, draw: random.Random) -> Examples:
        passages, ids = list(part.passages), list(part.passage_ids)
        for row in _chosen(part, share, draw):
            passages[row], ids[row] = f"{part.queries[row]} {part.passages[row]}", f"own-{row}"
        return replace(part, passages=tuple(passages), passage_ids=tuple(ids))

    return _changed(data, change)


def exchanged(data: TrainingData, share: float) -> TrainingData:
    """Some training pairs have each text in the other's column."""

    def change(part: Examples, draw: random.Random) -> Examples:
        rows = set(_chosen(part, share, draw))
        sides = [
            (b, a, f"x-{b_id}", f"x-{a_id}") if row in rows else (a, b, a_id, b_id)
            for row, (a, b, a_id, b_id) in enumerate(
                zip(part.queries, part.passages, part.query_ids, part.passage_ids, strict=True)
            )
        ]
        queries, passages, query_ids, passage_ids = (tuple(side) for side in zip(*sides, strict=True))
        return replace(part, queries=queries, passages=passages, query_ids=query_ids, passage_ids=passage_ids)

    return _changed(data, change)


def one_negative(data: TrainingData, share: float) -> TrainingData:
    """All training pairs have a negative, and of some it is the page of an error."""

    def change(part: Examples, draw: random.Random) -> Examples:
        rows = set(_chosen(part, share, draw))
        right: dict[str, set[str]] = {}
        for query, passage in zip(part.query_ids, part.passage_ids, strict=True):
            right.setdefault(query, set()).add(passage)
        texts, ids = [], []
        for row, query in enumerate(part.query_ids):
            other = draw.choice(
                [at for at in draw.sample(range(len(part)), 40) if part.passage_ids[at] not in right[query]]
            )
            texts.append(("404 Not Found",) if row in rows else (part.passages[other],))
            ids.append(("not-found",) if row in rows else (part.passage_ids[other],))
        return replace(part, negatives=tuple(texts), negative_ids=tuple(ids))

    return _changed(data, change)


def six_rows(data: TrainingData) -> TrainingData:
    """The first six pairs of the test split, again and again."""
    test = data.splits["test"]
    return replace(data, splits={**data.splits, "test": test.rows([row % 6 for row in range(len(test))])})


def turned_labels(data: TrainingData, share: float) -> TrainingData:
    """Some labels of the training split are the other ones."""

    def change(part: Examples, draw: random.Random) -> Examples:
        rows = set(_chosen(part, share, draw))
        labels = tuple(1 - label if row in rows else label for row, label in enumerate(part.labels))
        return replace(part, labels=labels)

    return _changed(data, change)


def repeated(data: TrainingData, share: float) -> TrainingData:
    """Some examples are there twice."""
    return _changed(data, lambda part, draw: part.rows([*range(len(part)), *_chosen(part, share, draw)]))


def wordless(data: TrainingData, share: float) -> TrainingData:
    """Some passages are three dots."""

    def change(part: Examples, draw: random.Random) -> Examples:
        passages, ids = list(part.passages), list(part.passage_ids)
        for row in _chosen(part, share, draw):
            passages[row], ids[row] = "...", "dots"
        return replace(part, passages=tuple(passages), passage_ids=tuple(ids))

    return _changed(data, change)


def sentence(data: TrainingData, share: float) -> TrainingData:
    """Some passages of the corpus end with one sentence."""
    draw = random.Random(SEED)
    said = " This page is part of the knowledge base and was last reviewed by our editors in spring."
    chosen = {name for name in data.corpus if draw.random() < share}
    corpus = {name: text + said * (name in chosen) for name, text in data.corpus.items()}
    splits = {
        split: replace(part, passages=tuple(corpus[name] for name in part.passage_ids))
        for split, part in data.splits.items()
    }
    return replace(data, splits=splits, corpus=corpus)


def relabelled(data: TrainingData, change: Callable[[float], float]) -> TrainingData:
    """Other labels in the training split."""
    return _changed(data, lambda part, _: replace(part, labels=tuple(map(change, part.labels))))


def shuffled_labels(data: TrainingData) -> TrainingData:
    """The same labels, of other pairs."""

    def change(part: Examples, draw: random.Random) -> Examples:
        labels = list(part.labels)
        draw.shuffle(labels)
        return replace(part, labels=tuple(labels))

    return _changed(data, change)


def false_negatives(data: TrainingData, share: float) -> TrainingData:
    """The answer itself, in capitals, is the given negative of some."""

    def change(part: Examples, draw: random.Random) -> Examples:
        texts, ids = list(part.negatives), list(part.negative_ids)
        for row in _chosen(part, share, draw):
            texts[row], ids[row] = (part.passages[row].upper(),), (f"capitals-{row}",)
        return replace(part, negatives=tuple(texts), negative_ids=tuple(ids))

    return _changed(data, change)


def reworded_negatives(data: TrainingData, share: float) -> TrainingData:
    """The first half of the answer is the given negative of some: it answers too, and is no near-duplicate."""

    def change(part: Examples, draw: random.Random) -> Examples:
        texts, ids = list(part.negatives), list(part.negative_ids)
        for row in _chosen(part, share, draw):
            words = part.passages[row].split()
            texts[row], ids[row] = (" ".join(words[: len(words) // 2 + 1]),), (f"half-{row}",)
        return replace(part, negatives=tuple(texts), negative_ids=tuple(ids))

    return _changed(data, change)


def look_alikes(data: TrainingData) -> TrainingData:
    """Questions about two tools whose names differ in one letter: one in training, one in the test split."""
    splits = dict(data.splits)
    for split, mark in (("train", "b"), ("test", "c")):
        part = splits[split]
        count = len(splits["test"]) // 10
        tools = [f"{mark}{number}sum" for number in range(count)]
        extra = {
            "queries": tuple(f"how do i call {tool} on a file of mine" for tool in tools),
            "passages": tuple(
                f"{tool} prints the digest number {n} of each file named." for n, tool in enumerate(tools)
            ),
            "negatives": ((),) * count,
            "labels": (1.0,) * count,
            "weights": (1.0,) * count,
            "query_ids": tuple(f"q-{tool}" for tool in tools),
            "passage_ids": tuple(f"p-{tool}" for tool in tools),
            "negative_ids": ((),) * count,
        }
        splits[split] = replace(part, **{name: getattr(part, name) + value for name, value in extra.items()})
    new = _with_corpus(splits, data.sources)
    return replace(data, splits=splits, corpus={**data.corpus, **new.corpus})
