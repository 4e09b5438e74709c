"""Reading training data: every format gives the same examples, and what is wrong is named with its place."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import DataInvalid
from samespace.training.data.examples import Examples
from samespace.training.data.retrieval_set import as_dataset
from samespace.training.data.sources import Source, load_data, without_repeats
from samespace.training.finetuning.config import make_config
from samespace.training.finetuning.training_set import load_training_set

ROWS = [
    {"query": "how long does a parcel take", "positive": "Parcels take three days.", "negative": "We pay by card."},
    {"query": "what does it cost", "positive": "It costs ten crowns.", "negative": "Parcels take three days."},
    {"query": "how long is delivery", "positive": "Parcels take three days.", "negative": "We pay by card."},
]
LABELLED = [
    {"text_a": "a cat sleeps", "text_b": "the cat is asleep", "label": 1},
    {"text_a": "a cat sleeps", "text_b": "a train leaves", "label": 0},
    {"text_a": "a dog barks", "text_b": "a dog is loud", "label": 0.75},
]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra arrow")
        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def texts(examples: Examples) -> list[tuple[Any, ...]]:
    return list(zip(examples.queries, examples.passages, examples.negatives, examples.labels, strict=True))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("rows", [ROWS, LABELLED], ids=["pairs", "labelled"])
def test_every_format_says_the_same(tmp_path: Path, suffix: str, rows: list[dict[str, Any]]) -> None:
    """JSONL, CSV, TSV and Parquet of the same rows give the same examples; a lone file is the split train."""
    plain = [{key: float(value) if key == "label" else value for key, value in row.items()} for row in rows]
    data = load_data(write(tmp_path / f"pairs{suffix}", plain))
    assert list(data.splits) == ["train"]
    values = [tuple(row.values()) for row in rows]
    expected = [(a, b, (), last) if rows is LABELLED else (a, b, (last,), 1.0) for a, b, last in values]
    assert texts(data.splits["train"]) == expected
    assert data.splits["train"].labelled == (rows is LABELLED)


def test_a_text_is_named_by_the_place_where_it_was_met_first(tmp_path: Path) -> None:
    """Line 3 repeats the passage of line 1 and the negative of line 1; both keep their first names."""
    examples = load_data(write(tmp_path / "train.jsonl", ROWS)).splits["train"]
    assert examples.query_ids == ("train.jsonl:1", "train.jsonl:2", "train.jsonl:3")
    assert examples.passage_ids == ("train.jsonl:1", "train.jsonl:2", "train.jsonl:1")
    assert examples.negative_ids == (
        ("train.jsonl:1.negative",), ("train.jsonl:1",), ("train.jsonl:1.negative",)
    )  # fmt: skip


def test_a_saved_dataset_is_read_with_its_splits(tmp_path: Path) -> None:
    """What `save_to_disk` writes gives the same rows; "validation" is dev."""
    datasets = pytest.importorskip("datasets", reason="needs the extra train")
    parts = {"train": datasets.Dataset.from_list(ROWS), "validation": datasets.Dataset.from_list(ROWS[:1])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    data = load_data(tmp_path / "saved")
    assert list(data.splits) == ["train", "dev"]
    assert len(data.splits["train"]) == 3
    parts["train"].save_to_disk(str(tmp_path / "lone"))
    assert list(load_data(tmp_path / "lone").splits) == ["train"]


def test_a_folder_of_files_has_the_splits_that_their_names_say(tmp_path: Path) -> None:
    """Shards of a split are joined in the order of their names, also from data/."""
    write(tmp_path / "data" / "train-00000-of-00002.jsonl", ROWS[:1])
    write(tmp_path / "data" / "train-00001-of-00002.jsonl", ROWS[1:])
    write(tmp_path / "faq_test.csv", ROWS[:1])
    data = load_data(tmp_path)
    assert {split: len(examples) for split, examples in data.splits.items()} == {"train": 3, "test": 1}
    write(tmp_path / "more.jsonl", ROWS)
    with pytest.raises(DataInvalid, match=r"more.jsonl: its name says no split"):
        load_data(tmp_path)


def test_a_beir_folder_gives_pairs_and_known_negatives(tmp_path: Path) -> None:
    """Grades above 0 are positives, grade 0 a negative; unjudged passages are in the corpus."""
    write(tmp_path / "corpus.jsonl", [{"_id": name, "text": f"passage {name}"} for name in "abc"])
    write(tmp_path / "queries.jsonl", [{"_id": "q", "text": "which"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("q\ta\t2\nq\tb\t0\n")
    data = load_data(tmp_path)
    assert texts(data.splits["train"]) == [("which", "passage a", ("passage b",), 1.0)]
    assert data.splits["train"].negative_ids == (("b",),)
    assert list(data.corpus) == ["a", "b", "c"]


def test_several_sources_are_one_set_with_weights(tmp_path: Path) -> None:
    """Weights of source and row multiply; names say which source a text is from."""
    one = write(tmp_path / "one.jsonl", ROWS[:1])
    two = write(tmp_path / "two.jsonl", [{**ROWS[1], "weight": 2}])
    examples = load_data([one, Source(two, weight=0.5)]).splits["train"]
    assert examples.weights == (1.0, 1.0)
    assert examples.query_ids == ("one.jsonl:1", "two.jsonl:1")
    assert load_data([one, Source(two, weight=3)]).splits["train"].weights == (1.0, 6.0)
    with pytest.raises(DataInvalid, match=r"two.jsonl: weight 0; expected a number above 0"):
        Source(two, weight=0)


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    """The whole path names their texts."""
    paths = [write(tmp_path / part / "train.jsonl", rows) for part, rows in (("a", ROWS[:1]), ("b", ROWS[1:2]))]
    assert load_data(paths).splits["train"].query_ids == tuple(f"{path}:1" for path in paths)


def test_pairs_and_labelled_pairs_do_not_mix(tmp_path: Path) -> None:
    """Within one file the line is named, between two files both files."""
    with pytest.raises(DataInvalid, match=r"mixed.jsonl, line 2: has a label, the first row has none"):
        load_data(write(tmp_path / "mixed.jsonl", [{"query": "a", "passage": "b"}, LABELLED[0]]))
    one, two = write(tmp_path / "one.jsonl", ROWS), write(tmp_path / "two.jsonl", LABELLED)
    with pytest.raises(DataInvalid, match=r"one.jsonl \+ two.jsonl: split 'train' mixes pairs and labelled pairs"):
        load_data([one, two])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", r"line 2: is \[1\] \(list\); expected an object"),
        ('["x"]', r"line 2: is \['x'\] \(list\); expected an object"),
        ('{"text_a": "x", "label": 1}', "line 2: has no passage: expected one of the columns passage, positive"),
        ('{"text_a": "x", "text_b": null, "label": 1}', "line 2: 'text_b' has no value"),
        ('{"text_a": 7, "text_b": "y", "label": 1}', r"line 2: 'text_a' is 7 \(int\); expected a text"),
        ('{"text_a": "x", "text_b": "y", "label": 4}', "line 2: 'label' is 4; expected 0 to 1: divide graded labels"),
        ('{"text_a": "x", "text_b": "y", "label": "1"}', r"line 2: 'label' is '1' \(str\); expected a number"),
        ('{"text_a": "x", "text_b": "y", "label": NaN}', r"line 2: 'label' is nan \(float\); expected a number"),
        ('{"text_a": "x", "text_b": "y", "label": 1, "weight": -1}', "line 2: 'weight' is -1; expected a number above"),
        ('{"text_a": "x", "text_b": "y"}', "line 2: has no label, line 1 has one"),
        ('{"text_a": "x", "query": "z", "text_b": "y", "label": 1}', "two columns for the query: 'query' and 'text_a'"),
        ('{"text_a": "x", "text_b": "y", "label": 1, "negative": "n"}', "line 2: has both 'label' and negatives"),
        (r'{"text_a": "ab\ud800", "text_b": "y", "label": 1}', "line 2: 'text_a': character 2 is a lone surrogate"),
        ('{"text_a": "x", "text_b": [], "label": 1}', "line 2: 'text_b' is an empty list"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, line: str, reason: str) -> None:
    """The error has the file, the line, what was found and what was expected."""
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(LABELLED[0]) + "\n" + line + "\n")
    with pytest.raises(DataInvalid, match=rf"train.jsonl, {reason}|train.jsonl, line 2: has {reason}"):
        load_data(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"query,passage\nx\n", "line 2: 1 cells; the header has 2"),
        ("a.csv", b"query,query\nx,y\n", "line 1: column 'query' appears twice"),
        ("a.csv", b'query,passage\n"x,y\n', "is not CSV"),
        ("a.csv", b"text_a,text_b,label\nx,y,much\n", r"line 2: 'label' is 'much' \(str\); expected a number"),
        ("a.csv", b"query,passage\n", "has no rows"),
        ("a.jsonl", b"", "has no rows"),
        ("a.jsonl", b"\xff\xfd\x00", "is not UTF-8 text"),
        ("a.csv", "query,passage\nx,y\n".encode("utf-16"), "is UTF-16 text"),
        ("a.csv", b"query,pos\nx,\"['a', 'b']\"\ny,\"['c']\"\n", "'pos' holds lists that were written as text"),
        ("a.tsv", b'query\tpos\tnegatives\nx\ta\t["b"]\n', "'negatives' holds lists that were written as text"),
        ("a.parquet", b"nothing of the kind", "cannot be read as Parquet"),
        ("a.docx", b"", "is not a known format; expected one of .jsonl"),
        ("a.jsonl", b'{"query": " ", "passage": "y"}\n', "split 'train' has no row with two texts"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """Damaged, empty, foreign: an error with the file, and never a traceback of a library."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataInvalid, match=reason):
        load_data(tmp_path / name)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing path, and a folder with nothing in it."""
    with pytest.raises(DataInvalid, match="no such file or folder"):
        load_data(tmp_path / "nothing")
    with pytest.raises(DataInvalid, match=r"has neither corpus.jsonl .* nor a file that ends with .jsonl"):
        load_data(tmp_path)


def test_rows_with_an_empty_text_are_left_out_and_told(tmp_path: Path) -> None:
    """Their places are kept for the doctor."""
    data = load_data(write(tmp_path / "train.jsonl", [ROWS[0], {"query": "x", "positive": " "}]))
    assert len(data.splits["train"]) == 1
    assert data.empty == ("train.jsonl:2",)


def test_repeats_are_left_out(tmp_path: Path) -> None:
    """Case and punctuation make no other example; another label does."""
    rows = [LABELLED[0], {**LABELLED[0], "text_a": "A cat sleeps!"}, {**LABELLED[0], "label": 0}]
    kept, dropped = without_repeats(load_data(write(tmp_path / "train.jsonl", rows)).splits["train"])
    assert dropped == 1
    assert kept.labels == (1.0, 0.0)


def test_a_split_can_be_scored(tmp_path: Path) -> None:
    """Pairs become judgements over the whole corpus; labelled pairs from 0.5 on."""
    write(tmp_path / "train.jsonl", ROWS)
    write(tmp_path / "test.jsonl", ROWS[2:])
    held = as_dataset(load_data(tmp_path), "test")
    assert held.queries == ("how long is delivery",)
    assert len(held.passages) == 3
    assert [list(judged.values()) for judged in held.qrels.values()] == [[1]]
    labelled = load_data(write(tmp_path / "labelled.jsonl", LABELLED))
    assert as_dataset(labelled, "train").queries == ("a cat sleeps", "a dog barks")
    with pytest.raises(DataInvalid, match=r"has no split 'dev'; it has train"):
        as_dataset(labelled, "dev")


def test_the_digest_covers_texts_labels_and_weights(tmp_path: Path) -> None:
    """A changed label changes it; a renamed file does not."""
    first = load_data(write(tmp_path / "one.jsonl", LABELLED)).splits["train"]
    same = load_data(write(tmp_path / "two.jsonl", LABELLED)).splits["train"]
    other = load_data(write(tmp_path / "three.jsonl", [{**LABELLED[0], "label": 0}, *LABELLED[1:]])).splits["train"]
    assert first.digest() == same.digest() != other.digest()


def test_pairs_for_training_come_from_any_format(tmp_path: Path) -> None:
    """`load_training_set` takes files too; without the asked split it says which there are."""
    write(tmp_path / "train.jsonl", ROWS)
    settings = {"data": tmp_path, "out": tmp_path / "out"}
    assert len(load_training_set(make_config(settings)).examples) == 3
    with pytest.raises(DataInvalid, match=r"has no split 'more' to train on; it has train"):
        load_training_set(make_config(settings | {"train_split": "more"}))


TEVATRON = {
    "query_id": "1",
    "query": "what is rust",
    "positive_passages": [{"docid": "7", "title": "Rust", "text": "A language."}, {"docid": "8", "text": "A metal."}],
    "negative_passages": [{"docid": "9", "title": "", "text": "A train."}],
}
FLAG = {"query": "what is rust", "pos": ["Rust A language.", "A metal."], "neg": ["A train."], "pos_scores": [0.9, 0.4]}
EXPECTED = [("what is rust", text, ("A train.",), 1.0) for text in ("Rust A language.", "A metal.")]


@pytest.mark.parametrize(
    "row",
    [
        TEVATRON,
        FLAG,
        {"query": "what is rust", "positive": FLAG["pos"], "negative": FLAG["neg"]},
        {
            "question": "what is rust",
            "answers": ["ignored"],
            "positive_ctxs": TEVATRON["positive_passages"],
            "hard_negative_ctxs": TEVATRON["negative_passages"],
        },
    ],
    ids=["tevatron", "FlagEmbedding", "MTEB reranking", "DPR"],
)
@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz", "train.json", "train_data.json.gz", "train.parquet"])
def test_rows_of_other_projects_are_read(tmp_path: Path, row: dict[str, Any], name: str) -> None:
    """Whatever the columns are called, as JSON lines, as an array, compressed."""
    if name.endswith("parquet"):
        path = write(tmp_path / name, [row])
    else:
        text = json.dumps([row], indent=2) if ".json" in name and "jsonl" not in name else json.dumps(row) + "\n"
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    data = load_data(path)
    assert texts(data.splits["train"]) == EXPECTED
    if "pos_scores" in row:
        assert data.notes == (
            f"{name} has columns that are not used: 'pos_scores' (1 rows); a teacher's scores are read from a file of "
            "their own (key teacher)",
        )


def test_arrays_and_sets_are_rows(tmp_path: Path) -> None:
    """As the embedding-training-data of sentence-transformers have them: pairs, triples, sets."""
    (tmp_path / "train.jsonl").write_text('["q", "p"]\n["q2", "p2", "n2"]\n{"set": ["a", "b", "c"]}\n')
    found = texts(load_data(tmp_path / "train.jsonl").splits["train"])
    assert found == [("q", "p", (), 1.0), ("q2", "p2", ("n2",), 1.0), ("a", "b", (), 1.0), ("a", "c", (), 1.0)]
    (tmp_path / "scored.jsonl").write_text('["q", "p", 0.5]\n["q2", "p2", 1]\n')
    assert load_data(tmp_path / "scored.jsonl").splits["train"].labels == (0.5, 1.0)


def test_a_label_that_is_written_as_a_text_is_no_negative(tmp_path: Path) -> None:
    """Of two numbers as texts the second is a wrong answer."""
    path = tmp_path / "train.jsonl"
    path.write_text('["a cat sleeps", "the cat is asleep", "0.75"]\n')
    with pytest.raises(DataInvalid, match=r"line 1: its third value is '0.75' \(str\): a label is a number"):
        load_data(path)
    path.write_text('["what is 2 + 2", "4", "5"]\n')
    assert texts(load_data(path).splits["train"]) == [("what is 2 + 2", "4", ("5",), 1.0)]


def test_a_row_of_columns_is_many_pairs(tmp_path: Path) -> None:
    """MTEB's pair classification: one row of lists."""
    row = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "labels": [1, 0]}
    found = load_data(write(tmp_path / "test.jsonl", [row])).splits["test"]
    assert texts(found) == [("a", "c", (), 1.0), ("b", "d", (), 0.0)]
    with pytest.raises(DataInvalid, match=r"unequal lengths: 2 of 'sentence1', 2 of 'sentence2', 1 of 'labels'"):
        load_data(write(tmp_path / "bad.jsonl", [{**row, "labels": [1]}]))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"premise": "a", "hypothesis": "b", "label": 2},
            "'label' is 2 .* labels of inference: 0 is entailment, 1 neutral",
        ),
        ({"premise": "a", "hypothesis": "b", "label": -1}, "'label' is -1 .* -1 has no label. Write 1 for entailment"),
        ({"sentence1": "a", "sentence2": "b", "label": 2}, "'label' is 2 .*If these are labels of inference: 0 is"),
        (
            {"sentence1": "a", "sentence2": "b", "gold_label": "neutral"},
            "'gold_label' is 'neutral', a label of inference",
        ),
        ({"sentence1": "a", "sentence2": "b", "score": 4.2}, "'score' is 4.2; expected 0 to 1: divide graded labels"),
        ({"query-id": "a", "corpus-id": "b", "score": 1}, "is a judgement, without texts; name the folder"),
        ({"query": "a", "pos": ["b"], "pos_scores": [1, 2]}, "'pos_scores' has 2 numbers for 1 texts of 'pos'"),
    ],
)
def test_labels_that_mean_something_else_are_refused(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    """Labels of inference with the mapping that is right; judgements, scores out of step."""
    with pytest.raises(DataInvalid, match=reason):
        load_data(write(tmp_path / "train.jsonl", [row]))


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_class_names_are_believed(tmp_path: Path, kind: str) -> None:
    """GLUE's RTE: class 0 is "entailment"; as a similarity that is the wrong way round. MRPC's classes are right."""
    datasets = pytest.importorskip("datasets", reason="needs the extra train")

    def made(names: list[str], name: str) -> Path:
        features = datasets.Features(
            {"sentence1": datasets.Value("string"), "sentence2": datasets.Value("string"),
             "label": datasets.ClassLabel(names=names)}
        )  # fmt: skip
        rows = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0, 1]}
        dataset = datasets.Dataset.from_dict(rows, features=features)
        if kind == "saved":
            dataset.save_to_disk(str(tmp_path / name))
            return tmp_path / name
        dataset.to_parquet(str(tmp_path / f"{name}.parquet"))
        return tmp_path / f"{name}.parquet"

    with pytest.raises(DataInvalid, match=r"0 is entailment, 1 is not_entailment: .* Write 1 for entailment"):
        load_data(made(["entailment", "not_entailment"], "rte"))
    assert load_data(made(["not_equivalent", "equivalent"], "mrpc")).splits["train"].labels == (0.0, 1.0)
    for number, right in enumerate((
        ["not_duplicate", "duplicate"], ["0", "1"], ["unrelated", "related"], ["no match", "match"], ["no", "yes"],
        ["Negative", "Positive"], ["incorrect", "correct"], ["wrong", "correct"], ["False", "True"],
        ["different", "same"], ["dissimilar", "similar"], ["irrelevant", "relevant"], ["NOT-RELEVANT", "RELEVANT"],
    )):  # fmt: skip
        assert load_data(made(right, f"right{number}")).splits["train"].labels == (0.0, 1.0), right
        with pytest.raises(DataInvalid, match=rf"the wrong way round. Write 1 for {right[1]} and 0 for {right[0]}"):
            load_data(made(right[::-1], f"wrong{number}"))
    for number, unknown in enumerate((["a", "b"], ["0", "2"], ["low", "middle", "high"], ["x", "paraphrased"])):
        with pytest.raises(DataInvalid, match=r"0 is .* which of them belongs together is not known. Write 1 for"):
            load_data(made(unknown, f"unknown{number}"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            'query\tpassage\n5" disk\tabout 5" disks\nsays "hi"\t"quoted" first\n',
            [('5" disk', 'about 5" disks'), ('says "hi"', '"quoted" first')],
        ),
        ('query\tpassage\n"the word" alone\tx\n"open\ty\n', [('"the word" alone', "x"), ('"open', "y")]),
        ('query\tpassage\n"a title"\tx\nplain\ty\n', [('"a title"', "x"), ("plain", "y")]),
        ('query\tpassage\n"says ""hi"""\tx\n', [('says "hi"', "x")]),
        ('query\tpassage\n"two\nlines"\t"a\ttab"\n', [("two\nlines", "a\ttab")]),
        ('"query"\t"passage"\n"a"\t"b"\n', [("a", "b")]),
    ],
    ids=["inches", "begins with a mark", "wrapped once", "doubled", "line and tab within", "all quoted"],
)  # fmt: skip
def test_tabs_without_quoting_are_read_as_such(tmp_path: Path, content: str, expected: list[tuple[str, str]]) -> None:
    """A quotation mark is text, unless the file was written with quoting."""
    (tmp_path / "train.tsv").write_text(content)
    found = load_data(tmp_path / "train.tsv").splits["train"]
    assert list(zip(found.queries, found.passages, strict=True)) == expected


def test_a_text_in_brackets_is_a_text(tmp_path: Path) -> None:
    """Only a column of nothing but lists was written by a program that had lists."""
    path = tmp_path / "train.csv"
    path.write_text("query,passage\nx,\"['a', 'b']\"\ny,plain\n")
    assert load_data(path).splits["train"].passages == ("['a', 'b']", "plain")
    (tmp_path / "._train.csv").write_bytes(b"\x00\x05")
    assert len(load_data(tmp_path).splits["train"].passages) == 2
