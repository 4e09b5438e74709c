"""The doctor names each planted failure, and raises no alarm about a healthy set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer, models, pre_tokenizers, processors

pytest.importorskip("datasketch", reason="needs the extra train")

from samespace.cli import cli
from samespace.errors import DataInvalid, ModelUnsupported
from samespace.text import Recipe, Role, TextEncoder
from samespace.training.data.sources import load_data
from samespace.training.doctor import (
    DataFinding,
    Diagnosis,
    Questions,
    examine,
    material_of,
    report,
    resplit,
    write_splits,
)
from samespace.training.doctor.languages import language
from samespace.vectors import Vectors, normalise

SYLLABLES = ("ka", "lo", "mi", "ne", "pu", "ra", "so", "ti", "vu", "ze", "bor", "dal", "fen", "gir", "hul")
STOP = ("the", "of", "is", "with", "for", "and", "to", "that", "are", "by")
PER_SPLIT = {"train": 120, "dev": 30, "test": 30}


def words(seed: int, count: int) -> list[str]:
    random = Random(seed)
    return ["".join(random.choices(SYLLABLES, k=3)) for _ in range(count)]


def passage(topic: int, order: int = 0) -> str:
    """A passage about *topic*; another *order* says the same in another order, with other small words."""
    said = words(topic, 12)
    random = Random(f"{topic} {order}")
    random.shuffle(said)
    return " ".join(part for word in said for part in (random.choice(STOP), word)) + "."


def query(topic: int) -> str:
    return f"what is the {' of '.join(words(topic, 12)[:3])}"


def healthy() -> dict[str, list[dict[str, Any]]]:
    """Splits of rows that have nothing in common; the negative of a topic is about another topic of its split."""
    rows: dict[str, list[dict[str, Any]]] = {}
    start = 0
    for split, count in PER_SPLIT.items():
        topics = range(start, start + count)
        rows[split] = [
            {
                "query": query(topic),
                "positive": passage(topic),
                "negative": passage(start + (topic - start + 7) % count),
            }
            for topic in topics
        ]
        start += count
    return rows


def labelled() -> dict[str, list[dict[str, Any]]]:
    """The same as labelled pairs: half of them belong together."""
    return {
        split: [
            {"text_a": row["query"], "text_b": row["negative" if n % 2 else "positive"], "label": (n + 1) % 2}
            for n, row in enumerate(rows)
        ]
        for split, rows in healthy().items()
    }


def write(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> Path:
    folder.mkdir(exist_ok=True)
    for split, part in rows.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


def look(folder: Path, rows: dict[str, list[dict[str, Any]]], **more: Any) -> Diagnosis:
    questions = more.pop("questions", Questions())
    return examine(load_data(write(folder / "set", rows)), questions, **more)


def named(diagnosis: Diagnosis) -> dict[str, DataFinding]:
    return {finding.name: finding for finding in diagnosis.findings("error", "warning")}


@cache
def direction(word: str) -> np.ndarray:
    return np.random.default_rng(list(word.encode())).normal(size=256)


class WordEncoder:
    """A fake base encoder: the words of a text as signs in 256 dimensions; small words hardly count."""

    name = "words"
    space_id = "0" * 64

    def encode(self, texts: Sequence[str], role: Role, *, progress: Any = None) -> Vectors:
        rows = np.zeros((len(texts), 256))
        for row, text in enumerate(texts):
            for word in text.strip(".").split():
                weight = 0.05 if word in (*STOP, "what") else 1.0
                rows[row] += weight * direction(word)
        if progress is not None:
            progress(len(texts))
        return Vectors(normalise(rows), self.space_id)


@pytest.fixture(scope="module")
def text_encoders() -> dict[Role, TextEncoder]:
    """A vocabulary that knows the healthy set's words; any other word falls into letters."""
    known = dict.fromkeys(
        ["[UNK]", "[CLS]", "[SEP]", "what", ".", *STOP, *(word for topic in range(180) for word in words(topic, 12))]
    )
    letters = [prefix + letter for prefix in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {word: row for row, word in enumerate(dict.fromkeys([*known, *letters]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $0 [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    encoder = TextEncoder(tokenizer, Recipe({"query": "", "passage": ""}, token_limit=40, window_overlap=8))
    return {"query": encoder, "passage": encoder}


@pytest.mark.parametrize("make", [healthy, labelled])
def test_a_healthy_set_raises_no_alarm(tmp_path: Path, make: Any, text_encoders: dict[Role, TextEncoder]) -> None:
    """With an encoder and without one: no error, no warning."""
    for more in ({}, {"text_encoders": text_encoders, "embedder": WordEncoder()}):
        diagnosis = look(tmp_path, make(), **more)
        assert diagnosis.healthy(strict=True), named(diagnosis)


def test_leaked_queries_and_passages_are_errors(tmp_path: Path) -> None:
    """Test queries in other letters, and dev passages, among the training texts: counted, named, priced."""
    rows = healthy()
    for n in range(5):
        rows["train"][n] = {**rows["train"][n], "query": rows["test"][n]["query"].upper() + "?"}
    rows["train"][9] = {**rows["train"][9], "positive": rows["dev"][0]["positive"]}
    diagnosis = look(tmp_path, rows)
    assert not diagnosis.healthy()
    found = named(diagnosis)
    assert found["leaked_queries"].says.startswith("5 of 30 queries of test (17 %) are also trained on")
    assert found["leaked_passages"].says.startswith("1 of 30 passages of dev (3.3 %) are also trained on")
    assert [str(name) for name in found["leaked_queries"].examples[0]] == ["query test.jsonl:1", "query train.jsonl:1"]
    cost = next(check for check in diagnosis.checks if check.name == "cost").numbers
    assert (cost["test"]["leaked"], cost["test"]["clean"]) == (5, 25)
    assert 0 <= cost["test"]["ndcg@10"]["bm25"]["clean"] <= 1


def test_allowed_leaks_are_warnings(tmp_path: Path) -> None:
    """ "passages" lets shared passages pass, and no shared query."""
    rows = healthy()
    rows["train"][0] = {**rows["train"][0], "positive": rows["test"][0]["positive"]}
    assert look(tmp_path, rows, questions=Questions(allow_leakage="passages", cost=False)).healthy()
    rows["train"][1] = {**rows["train"][1], "query": rows["test"][1]["query"]}
    assert not look(tmp_path, rows, questions=Questions(allow_leakage="passages", cost=False)).healthy()
    assert look(tmp_path, rows, questions=Questions(allow_leakage="all", cost=False)).healthy()


def test_near_duplicate_passages_are_counted(tmp_path: Path) -> None:
    """Ten passages that another one repeats: copies are a warning, those with another last word a note."""
    for last, severity in ((" INDEED!", "warning"), (" truly", "note")):
        rows = healthy()
        for n in range(10):
            text = rows["train"][n]["positive"].removesuffix(".")
            rows["train"][n]["positive"] = f"{text} indeed."
            rows["train"][50 + n] = {**rows["train"][50 + n], "positive": text + last}
        found = {each.name: each for each in look(tmp_path, rows).findings()}["duplicate_passages"]
        assert found.says.startswith("20 of ")  # the ten, and the ten negatives that these were
        assert found.severity == severity
        assert len(found.examples[0]) == 3


def test_known_false_negatives_are_errors(tmp_path: Path) -> None:
    """A tenth of the given negatives answers the query elsewhere in the set, partly in other letters."""
    rows = healthy()
    for n in range(12):
        rows["train"].append(
            {**rows["train"][n], "query": rows["train"][n]["query"].upper(), "positive": passage(900 + n)}
        )
        rows["train"][n] = {**rows["train"][n], "negative": passage(900 + n).upper()}
    found = named(look(tmp_path, rows))
    assert found["known_false_negatives"].severity == "error"
    assert found["known_false_negatives"].says.startswith("12 of ")


def test_false_negatives_are_suspected_by_the_encoder(tmp_path: Path) -> None:
    """A tenth of the given negatives says the same as the positive in another order: only an encoder sees it."""
    rows = healthy()
    planted = range(0, 120, 10)
    for n in planted:
        rows["train"][n] = {**rows["train"][n], "negative": passage(n, order=1)}
    assert look(tmp_path, rows).healthy(strict=True)
    diagnosis = look(tmp_path, rows, embedder=WordEncoder())
    check = next(check for check in diagnosis.checks if check.name == "suspected")
    assert check.findings[0].severity == "warning"
    assert check.numbers["given_negatives_among_them"] >= 11
    assert check.numbers["suspected"] <= 14  # and next to nothing else
    assert {str(name[0]) for name in check.findings[0].examples} <= {f"query train.jsonl:{n + 1}" for n in planted}


def test_a_known_answer_is_never_suspected(tmp_path: Path) -> None:
    """Also where the encoder looks at a sample only, from which the example that knows it is missing."""
    rows = healthy()
    rows["train"] = [
        each for n, row in enumerate(rows["train"]) for each in (row, {**row, "positive": passage(n, order=1)})
    ]
    for step, row in enumerate(rows["train"]):
        row["negative"] = rows["train"][(step + 1) % 240]["positive"] if step % 2 else passage(5000 + step)
    diagnosis = look(tmp_path, rows, embedder=WordEncoder(), questions=Questions(most_encoded=60))
    check = next(check for check in diagnosis.checks if check.name == "suspected")
    assert (check.numbers["examples"], check.numbers["suspected"]) == (60, 0)


@pytest.mark.parametrize(
    ("labels", "name"), [((1.0,), "constant_labels"), ((0.6, 0.9), "one_class"), ((0.0, 0.2), "one_class")]
)
def test_labels_without_a_contrast_are_errors(tmp_path: Path, labels: tuple[float, ...], name: str) -> None:
    """Constant labels, and labels of one class only."""
    rows = labelled()
    for n, row in enumerate(rows["train"]):
        row["label"] = labels[n % len(labels)]
    assert named(look(tmp_path, rows))[name].severity == "error"


def test_labels_out_of_balance_and_contradictions_are_warnings(tmp_path: Path) -> None:
    """2 % of one class; and one pair with both labels."""
    rows = labelled()
    for n, row in enumerate(rows["train"]):
        row["label"] = float(n < 2)
    rows["train"].append({**rows["train"][0], "label": 0.0})
    found = named(look(tmp_path, rows))
    assert {"labels_out_of_balance", "contradictory_labels"} <= found.keys()
    assert found["contradictory_labels"].says.startswith("1 pairs")


def test_one_passage_for_all_is_an_error(tmp_path: Path) -> None:
    """No other passage is left to tell it from."""
    rows = healthy()
    for row in rows["train"]:
        row["positive"] = "the only answer that there is"
        del row["negative"]
    assert named(look(tmp_path, rows))["one_passage"].severity == "error"


def test_empty_texts_are_named_by_their_place(tmp_path: Path) -> None:
    """An empty passage was left out, one of punctuation is an error."""
    rows = healthy()
    rows["train"][3] = {**rows["train"][3], "positive": "  "}
    rows["train"][4] = {**rows["train"][4], "positive": "... !"}
    found = named(look(tmp_path, rows))
    assert "train.jsonl:4" in found["empty_examples"].says
    assert found["texts_without_words"].examples[0][0].id == "train.jsonl:5"


def test_boilerplate_is_found(tmp_path: Path) -> None:
    """A sentence at the end of every third passage, and a beginning of every fourth."""
    rows = healthy()
    for n, row in enumerate(rows["train"]):
        if n % 3 == 0:
            row["positive"] += " Please contact our support team at any time of the day."
        if n % 4 == 1:
            row["positive"] = "This article belongs to the knowledge base of our company: " + row["positive"]
    found = named(look(tmp_path, rows))
    assert {"boilerplate", "common_beginnings"} <= found.keys()
    assert found["boilerplate"].says.startswith("1 sentences")


def test_long_texts_are_measured_against_the_limit(tmp_path: Path, text_encoders: dict[Role, TextEncoder]) -> None:
    """A tenth of the passages is four times as long as the limit: told with what a cut would lose."""
    rows = healthy()
    for n in range(0, 120, 10):
        rows["train"][n]["positive"] = " ".join(passage(1000 + 10 * n + part) for part in range(7))
    diagnosis = look(tmp_path, rows, text_encoders=text_encoders)
    assert "12 of 192 passages (6.2 %) are longer than the 40 tokens" in named(diagnosis)["long_passages"].says
    numbers = next(check for check in diagnosis.checks if check.name == "lengths").numbers["passage"]
    assert numbers["beyond_limit"] == 12
    assert 0.2 < numbers["share_of_tokens_beyond"] < 0.9


def test_shattered_jargon_is_found(tmp_path: Path, text_encoders: dict[Role, TextEncoder]) -> None:
    """Terms that the vocabulary spells letter by letter, in every passage; without them nothing is said."""
    rows = healthy()
    for row in rows["train"]:
        row["positive"] += " the xyloquartz of wexbryll and the jaxxproton of wexbryll by xyloquartz"
    diagnosis = look(tmp_path, rows, text_encoders=text_encoders)
    check = next(check for check in diagnosis.checks if check.name == "fragmentation")
    assert check.findings[0].severity == "warning"
    assert check.numbers["frequent_shattered_terms"] == 3
    assert "xyloquartz" not in report(diagnosis)


def test_unknown_characters_are_found(tmp_path: Path, text_encoders: dict[Role, TextEncoder]) -> None:
    """Words that become the unknown token."""
    rows = healthy()
    for row in rows["train"]:
        row["positive"] += " Ω Ψ Ж"
    assert "unknown_tokens" in named(look(tmp_path, rows, text_encoders=text_encoders))


def test_mixed_languages_are_found(tmp_path: Path) -> None:
    """A fifth of the passages is German, a tenth is Japanese; the queries are not."""
    rows = healthy()
    for n, row in enumerate(rows["train"]):
        name = words(n, 3)
        if n % 5 == 0:
            row["positive"] = (
                f"der {name[0]} ist nicht mit dem {name[1]} und auch nicht für die {name[2]} von {name[0]}"
            )
        elif n % 10 == 1:
            row["positive"] = f"{name[0]} これはとても長い文章です。そして日本語で書かれています。"
    found = named(look(tmp_path, rows))
    assert "german" in found["mixed_passages"].says
    assert "japanese" in found["mixed_passages"].says
    assert "mixed_queries" not in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat is on the mat and that is how it was.", "english"),
        ("Der Hund ist nicht mit dem Ball im Garten und wird auch nicht.", "german"),
        ("Le chien est dans le jardin avec une balle pour nous.", "french"),
        ("El perro no está en el jardín con su pelota pero sí en la casa.", "spanish"),
        ("Кошка не на столе, это как в сказке.", "russian"),
        ("这是一个测试。", "chinese"),
        ("이것은 시험입니다.", "korean"),
        ("هذا اختبار", "arabic"),
        ("Nie wiem, czy to jest tak, jak się mówi.", "polish"),
        ("Where do i click if i want to do it on my phone", "english"),
        ("grep -rn TODO src", "latin, unknown"),
        ("42 + 7", "none"),
    ],
)
def test_languages_are_guessed(text: str, expected: str) -> None:
    """By script, and by stop words where scripts are shared."""
    assert language(text) == expected


def test_texts_are_shown_to_whoever_asks(tmp_path: Path) -> None:
    """Neither report nor JSON holds a text of the data, unless texts were asked for."""
    rows = healthy()
    rows["train"][0] = {**rows["train"][0], "query": rows["test"][0]["query"]}
    secret = rows["test"][0]["query"]
    closed = look(tmp_path, rows, questions=Questions(cost=False))
    assert secret not in report(closed) + json.dumps(closed.to_json())
    opened = look(tmp_path, rows, questions=Questions(cost=False, show_texts=True))
    assert secret in report(opened)
    assert opened.to_json()["texts"]["query test.jsonl:1"] == secret


def test_new_splits_share_nothing(tmp_path: Path) -> None:
    """Leaked queries and a near-duplicate passage pull their examples into one split: no leak is left."""
    rows = healthy()
    rows["train"][0] = {**rows["train"][0], "query": rows["test"][0]["query"]}
    rows["train"][1] = {**rows["train"][1], "positive": rows["test"][1]["positive"] + " Indeed."}
    material = material_of(load_data(write(tmp_path / "set", rows)), Questions())
    made = resplit(material)
    assert sum(len(part) for part in made.splits.values()) == 180
    assert made.components == 178
    assert {name: len(part) for name, part in made.splits.items()} == {"train": 144, "dev": 18, "test": 18}
    write_splits(material.data, made, tmp_path / "new")
    assert "leaked_queries" not in named(examine(load_data(tmp_path / "new")))
    assert "leaked_passages" not in named(examine(load_data(tmp_path / "new")))
    with pytest.raises(DataInvalid, match="exists already"):
        write_splits(material.data, made, tmp_path / "new")


def test_a_split_can_be_kept(tmp_path: Path) -> None:
    """The test split stays as it is, and what touches it is left out of the others."""
    rows = healthy()
    rows["train"][0] = {**rows["train"][0], "query": rows["test"][0]["query"]}
    material = material_of(load_data(write(tmp_path / "set", rows)), Questions())
    made = resplit(material, keep=("test",))
    assert made.splits["test"].queries == material.data.splits["test"].queries
    assert made.left_out == 1
    assert {name: len(part) for name, part in made.splits.items()} == {"train": 132, "dev": 17, "test": 30}
    with pytest.raises(DataInvalid, match=r"has no split 'exam' to keep"):
        resplit(material, keep=("exam",))


def test_a_beir_folder_stays_one(tmp_path: Path) -> None:
    """Grades and judged negatives go along with their queries; the corpus is copied."""
    source = tmp_path / "beir"
    (source / "qrels").mkdir(parents=True)
    (source / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"p{n}", "text": passage(n)}) + "\n" for n in range(30))
    )
    (source / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{n}", "text": query(n)}) + "\n" for n in range(30))
    )
    for split, part in (("train", range(20)), ("test", range(20, 30))):
        lines = [f"q{n}\tp{n}\t2\nq{n}\tp{(n + 1) % 30}\t0\n" for n in part]
        (source / "qrels" / f"{split}.tsv").write_text("".join(lines))
    material = material_of(load_data(source), Questions())
    write_splits(material.data, resplit(material, {"train": 0.5, "test": 0.5}), tmp_path / "new")
    lines = [
        line for split in ("train", "test") for line in (tmp_path / f"new/qrels/{split}.tsv").read_text().split("\n")
    ]
    assert sum(line.endswith("\t2") for line in lines) == sum(line.endswith("\t0") for line in lines) == 30
    assert len(load_data(tmp_path / "new").splits["train"]) == 15


def test_a_corpus_that_is_a_saved_dataset_stays_one(tmp_path: Path) -> None:
    """What lies beside its data says what it is, and goes along."""
    datasets = pytest.importorskip("datasets", reason="needs the extra train")
    source = beir(tmp_path / "set", healthy())
    corpus = [json.loads(line) for line in (source / "corpus.jsonl").read_text().splitlines()]
    (source / "corpus.jsonl").unlink()
    datasets.DatasetDict(train=datasets.Dataset.from_list(corpus)).save_to_disk(str(source / "corpus"))
    material = material_of(load_data(source), Questions())
    write_splits(material.data, resplit(material), tmp_path / "new")
    assert load_data(tmp_path / "new").corpus == material.data.corpus


def test_the_command_says_it_and_exits_accordingly(tmp_path: Path) -> None:
    """0 where there is no error, 1 where there is one or, with --strict, a warning; the page opens offline."""
    runner = CliRunner()
    good = str(write(tmp_path / "good", healthy()))
    done = runner.invoke(cli, ["doctor", "data", good, "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert "0 errors, 0 warnings" in done.stdout
    assert "<svg" in (tmp_path / "page.html").read_text()
    rows = healthy()
    rows["train"][0] = {**rows["train"][0], "positive": ""}
    warned = str(write(tmp_path / "warned", rows))
    assert runner.invoke(cli, ["doctor", "data", warned]).exit_code == 0
    assert runner.invoke(cli, ["doctor", "data", warned, "--strict"]).exit_code == 1
    rows["train"][1] = {**rows["train"][1], "query": rows["test"][1]["query"]}
    bad = str(write(tmp_path / "bad", rows))
    done = runner.invoke(cli, ["doctor", "data", bad, "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["checks"]["leakage"]["numbers"]["test_queries"]["leaked"] == 1
    done = runner.invoke(cli, ["doctor", "data", bad, "--write-splits", str(tmp_path / "new"), "--keep", "test"])
    assert "left out" in done.stderr
    again = runner.invoke(cli, ["doctor", "data", bad, "--write-splits", str(tmp_path / "new")])
    assert isinstance(again.exception, DataInvalid)
    assert all(len(line) <= 80 or str(tmp_path) in line for line in done.stdout.splitlines())


def test_training_stops_at_an_error(tmp_path: Path) -> None:
    """`samespace train` looks first and says what is wrong; --no-doctor goes on, here to a base that is not there."""
    pytest.importorskip("torch", reason="needs the extra train")
    rows = healthy()
    for row in rows["train"]:
        row["positive"] = "the only answer that there is"
    settings = {"data": str(write(tmp_path / "set", rows)), "out": str(tmp_path / "out"), "base": str(tmp_path / "no")}
    file = tmp_path / "train.toml"
    file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    done = CliRunner().invoke(cli, ["train", str(file)])
    assert isinstance(done.exception, DataInvalid)
    assert "have the same passage" in done.exception.reason
    assert "1 error, " in done.stderr
    done = CliRunner().invoke(cli, ["train", str(file), "--no-doctor"])
    assert isinstance(done.exception, ModelUnsupported)


def test_the_functions_stop_at_an_error_too(tmp_path: Path) -> None:
    """Whoever calls `train` or `probe_rates` is told what the doctor says; doctor=False goes on."""
    pytest.importorskip("sentence_transformers", reason="needs the extra train")
    from samespace.training.finetuning.config import make_config
    from samespace.training.finetuning.trainer import probe_rates, train

    rows = healthy()
    for row in rows["train"]:
        row["positive"] = "the only answer that there is"
    config = make_config({"data": write(tmp_path / "set", rows), "out": tmp_path / "out", "base": str(tmp_path / "no")})
    shown: list[int] = []
    for run in (train, probe_rates):
        with pytest.raises(DataInvalid, match=r"have the same passage.*doctor=False"):
            run(config, diagnosed=lambda found: shown.append(len(found.findings("error"))))
        with pytest.raises(ModelUnsupported):
            run(config, doctor=False)
    assert shown == [1, 1]


def test_a_missing_training_split_is_an_error(tmp_path: Path) -> None:
    """It says which splits there are."""
    with pytest.raises(DataInvalid, match=r"has no split 'more' to train on; it has dev, test, train"):
        look(tmp_path, healthy(), questions=Questions(train="more"))


def test_held_out_pairs_that_are_trained_with_their_sides_exchanged_are_leaks(tmp_path: Path) -> None:
    """The loss looks at pairs from both sides: title and abstract, question and duplicate, both directions of NLI."""
    rows = healthy()
    rows["train"] += [{"query": row["positive"], "positive": row["query"]} for row in rows["test"][:9]]
    for row in rows["train"]:
        row.pop("negative", None)
    (leak,) = [each for each in look(tmp_path, rows).findings("error") if each.name == "leaked_queries"]
    assert "9 of 30 queries of test" in leak.says


def beir(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> Path:
    """The same pairs in the BEIR layout, whose splits may have any name."""
    (folder / "qrels").mkdir(parents=True)
    pairs = list(dict.fromkeys((row["query"], row["positive"]) for part in rows.values() for row in part))
    number = {pair: place for place, pair in enumerate(pairs)}
    for name, side in (("queries", 0), ("corpus", 1)):
        lines = [json.dumps({"_id": f"{name[0]}{place}", "text": pair[side]}) for pair, place in number.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, part in rows.items():
        judged = [
            f"q{number[row['query'], row['positive']]}\tc{number[row['query'], row['positive']]}\t1" for row in part
        ]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n")
    return folder


@pytest.mark.parametrize("name", ["validation", "test_late", "eval"])
def test_every_other_split_is_held_out(name: str, tmp_path: Path) -> None:
    """Whatever it is called: by default only "dev" and "test" were, and the rest was not looked at, in silence."""
    rows = healthy()
    rows[name] = rows.pop("test")
    rows["train"] += rows[name]
    errors = examine(load_data(beir(tmp_path / "set", rows))).findings("error")
    assert {each.name for each in errors} >= {"leaked_queries"} and any(f"of {name} " in each.says for each in errors)


def test_the_training_split_may_have_another_name(tmp_path: Path) -> None:
    """One split whose name begins with "train" is it; of several, one has to be named, and has to be there."""
    rows = healthy()
    rows["training"] = rows.pop("train") + rows["test"]
    errors = examine(load_data(beir(tmp_path / "one", rows))).findings("error")
    assert any("trained on in training" in each.says for each in errors)
    rows["train_hard"] = rows["dev"]
    with pytest.raises(DataInvalid, match="train_hard, training; name the one to train on"):
        examine(load_data(beir(tmp_path / "two", rows)))
    with pytest.raises(DataInvalid, match="has no split 'devel' to hold out"):
        look(tmp_path, healthy(), questions=Questions(held_out=("devel",)))


def test_held_out_splits_that_share_pairs_are_told(tmp_path: Path) -> None:
    """What is chosen on dev is chosen on test."""
    rows = healthy()
    rows["test"] = rows["test"][:20] + rows["dev"][:10]
    (found,) = [each for each in look(tmp_path, rows).findings("warning") if each.name == "shared_held_out"]
    assert "10 of 30 pairs of test (33 %) are in dev too" in found.says


def test_a_held_out_split_whose_pairs_are_wrong_is_told(tmp_path: Path) -> None:
    """Beside a healthy training split: every score on it is noise."""
    rows = healthy()
    start = sum(PER_SPLIT.values())
    topics = list(range(start, start + 80))
    rows["test"] = [{"query": query(topic), "positive": passage(topic)} for topic in topics]
    assert not look(tmp_path, rows).findings("error")
    shifted = zip(topics, topics[1:] + topics[:1], strict=True)
    rows["test"] = [{"query": query(topic), "positive": passage(other)} for topic, other in shifted]
    (found,) = [each for each in look(tmp_path, rows).findings("warning") if "wrong" in each.name]
    assert "an encoder (--encoder) tells" in found.advice  # that shares no word, and might be right
    assert found.name == "wrong_pairs_held_out" and "pairs of test may not belong together" in found.says


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_pairs_of_one_query_are_not_called_put_together_at_random(tmp_path: Path) -> None:
    """No pair of chance can be made of them, so there is nothing to hold them against."""
    rows = healthy()
    for row in rows["train"]:
        row["query"] = query(0)
        row.pop("negative")
    found = look(tmp_path, rows)
    assert not [each for each in found.findings("error", "warning") if "wrong" in each.name]
    assert any(each.name == "pairing_not_told" for each in found.findings("note"))
