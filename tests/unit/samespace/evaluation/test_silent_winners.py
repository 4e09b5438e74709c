"""Retrieval sets that contradict themselves, and columns that nobody reads: named, where one would win in silence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import DataInvalid
from samespace.evaluation import Dataset, load_dataset, splits
from samespace.training.data.sources import load_data

CORPUS: list[dict[str, Any]] = [
    {"_id": "d1", "title": "First", "text": "one thing"},
    {"_id": "d2", "title": "Second", "text": "two things"},
]
ASKED = [{"_id": "q1", "text": "which thing"}, {"_id": "q2", "text": "which other"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td2\t2\n"
JUDGED = {"q1": {"d1": 1, "d2": 0}, "q2": {"d2": 2}}


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def published(folder: Path, **files: Any) -> Path:
    """A whole set, with some files written otherwise; None leaves one out, "/" in a name is "__"."""
    whole = {"corpus.jsonl": lines(CORPUS), "queries.jsonl": lines(ASKED), "qrels/test.tsv": QRELS, **files}
    for name, content in whole.items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def as_published(data: Dataset) -> None:
    assert (data.passages, data.passage_ids) == (("First one thing", "Second two things"), ("d1", "d2"))
    assert (data.queries, data.qrels) == (("which thing", "which other"), JUDGED)


TWICE = '{"_id": "d1", "text": "one", "title": "", "text": "another"}\n'


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"default/test.tsv": QRELS.replace("\t1\n", "\t0\n")}, "default/test.tsv judges split 'test' too"),
        ({"default/test.jsonl": "{}"}, "default/test.jsonl judges split 'test' too"),
        ({"data/test.tsv": QRELS}, "data/test.tsv judges split 'test' too"),
        ({"corpus.jsonl": lines([{**CORPUS[0], "id": "0"}])}, "for the id: '_id' is 'd1' and 'id' is '0'; keep one"),
        ({"corpus.jsonl": lines([{"id": 0, "docid": "d1", "text": "x"}])}, "'id' is 0 and 'docid' is 'd1'; keep one"),
        ({"queries.jsonl": lines([{**ASKED[0], "qid": "7"}])}, "'_id' is 'q1' and 'qid' is '7'; keep one"),
        ({"queries.jsonl": lines([{**ASKED[0], "query": "x"}])}, "for the text: 'text' is 'which thing' and 'query'"),
        ({"corpus.jsonl": TWICE}, "line 1: has the key 'text' twice, with 'one' and 'another'; keep one"),
        ({"corpus.jsonl": None, "corpus.json": f"[{TWICE}]"}, "has the key 'text' twice"),
        ({"corpus.jsonl": None, "corpus.json": '{"d1": {"text": "a"}, "d1": {"text": "b"}}'}, "the key 'd1' twice"),
        ({"corpus.jsonl": None, "corpus.json": '{"d1": {"_id": "d2", "text": "a"}}'}, "under 'd1' has '_id' 'd2'"),
        ({"qrels/test.tsv": None, "qrels/test.json": '{"q1": {"d1": 1, "d1": 0}}'}, "the key 'd1' twice, with 1 and 0"),
        (
            {"qrels/test.tsv": "query-id\tcorpus-id\tscore\tlabel\nq1\td1\t1\t1.0\nq2\td2\t1\t0\n"},
            "line 3: columns 3 and 4 mean the same and are '1' and '0'",
        ),
        ({"qrels/test.tsv": "qid\tquery_id\tdocid\tscore\nq2\tq1\td1\t1\n"}, "columns 1 and 2 mean the same"),
        ({"qrels/test.tsv": "qid\tdocid\tscore\tscore\nq1\td1\t1\t0\n"}, "columns 3 and 4 mean the same"),
        (
            {"qrels/test.tsv": None, "qrels/test.jsonl": lines([{"qid": "q1", "pid": "d1", "score": 1, "label": 0}])},
            "two columns for the grade: 'score' is 1 and 'label' is 0; keep one",
        ),
        (
            {"qrels/test.tsv": None, "qrels/test.jsonl": lines([{"qid": "q1", "pid": "d1", "docid": "d2", "rel": 1}])},
            "two columns for the passage: 'pid' is 'd1' and 'docid' is 'd2'; keep one",
        ),
        ({"corpus.jsonl": lines([{"_id": "d1", "text": int("9" * 5)}])}, r"'text' is 99999 \(int\); expected a text"),
        ({"corpus.jsonl": '{"_id": ' + "9" * 5000 + ', "text": "a"}\n'}, "line 1: is not JSON: Exceeds the limit"),
    ],
)
def test_no_one_of_two_wins_in_silence(tmp_path: Path, files: dict[str, Any], reason: str) -> None:
    """Two grades, two ids, two texts for one thing: both are named."""
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(published(tmp_path, **files))


@pytest.mark.parametrize(
    "files",
    [
        {"corpus.jsonl": lines([{**row, "id": row["_id"], "contents": row["text"]} for row in CORPUS])},
        {"corpus.jsonl": lines([{**row, "qid": "q9", "query": ""} for row in CORPUS])},  # whose passage it is
        {"queries.jsonl": lines([{"qid": row["_id"], "docid": "d1", "query": row["text"]} for row in ASKED])},
        {"qrels/test.tsv": "qid\tquery\tdocid\tdoc\tscore\nq1\ta b\td1\tx\t1\nq1\ta b\td2\tx\t0\nq2\tc\td2\ty\t2\n"},
        {
            "corpus.jsonl": '{"_id": "d1", "title": "First", "title": "First", "text": "one thing"}\n'
            + lines(CORPUS[1:])
        },
        {"data/test.jsonl": lines([{"query": "a", "passage": "b"}])},  # pairs, and no judgements
    ],
)
def test_two_that_say_one_thing_are_no_contradiction(tmp_path: Path, files: dict[str, Any]) -> None:
    """Columns for other things, and a thing that is said twice."""
    as_published(load_dataset(published(tmp_path, **files)))


def test_splits_of_two_folders_are_all_there(tmp_path: Path) -> None:
    """A split that only the second folder judges was dropped."""
    assert splits(published(tmp_path, **{"default/train.tsv": QRELS})) == ("test", "train")


def test_texts_in_columns_that_are_not_used_are_told_once(tmp_path: Path) -> None:
    """A title under another name is no title, and the score lacks it."""
    rows = [{"docno": row["_id"], "headline": f"On {row['title']}", "body": row["text"], "url": "x"} for row in CORPUS]
    asked = [{**row, "narrative": "a longer text", "metadata": {}} for row in ASKED]
    data = load_dataset(published(tmp_path, **{"corpus.jsonl": lines(rows), "queries.jsonl": lines(asked)}))
    assert data.passages == ("one thing", "two things")
    assert data.notes == (
        "corpus has texts in columns that are not used: 'headline' (2 rows); a title is read from the column 'title'",
        "queries has texts in columns that are not used: 'narrative' (2 rows)",
    )


def test_pairs_beside_a_corpus_are_told(tmp_path: Path) -> None:
    """A folder is a retrieval set or files of pairs, and the other one was dropped in silence."""
    pairs = lines([{"query": "a", "passage": "b"}])
    notes = load_data(published(tmp_path, **{"train.jsonl": pairs, "spans.jsonl": "{}"})).notes
    assert notes == ("train.jsonl lies beside corpus and qrels, which are read, and is not read",)


def test_judgements_beside_the_folder_are_told(tmp_path: Path) -> None:
    """Those of the folder are taken."""
    data = load_dataset(published(tmp_path, **{"qrels.tsv": QRELS.replace("\t1\n", "\t0\n")}))
    as_published(data)
    assert data.notes == ("qrels.tsv lies beside the folder of judgements and is not read",)


@pytest.mark.parametrize(
    "files",
    [
        {"qrels/test.tsv": None, "qrels/test.json": json.dumps({"q1": ["d1"], "q2": ["d2"]})},
        {"qrels/test.tsv": None, "qrels/test.csv": "\ufeffquery-id;corpus-id;score\r\nq1;d1;1\r\nq2;d2;1\r\n"},
    ],
)
def test_judgements_of_other_tools_are_read(tmp_path: Path, files: dict[str, Any]) -> None:
    """LlamaIndex's lists of passages, and CSV with semicolons as some spreadsheets write it."""
    assert load_dataset(published(tmp_path, **files)).qrels == {"q1": {"d1": 1}, "q2": {"d2": 1}}


ZIP = b"PK\x03\x04\x14\x00\x00\x00"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (ZIP, "is a zip archive; unpack it first"),
        (gzip.compress(gzip.compress(b"{}")), "is compressed twice; unpack it once"),
        (gzip.compress(ZIP), "is compressed twice; unpack it once"),
        ("{}".encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
    ],
    ids=["zip", "gzip twice", "zip in gzip", "utf-32"],
)
def test_a_container_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    """A zip archive was called UTF-16, because it has zero bytes."""
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(published(tmp_path, **{"corpus.jsonl": content}))


@pytest.mark.parametrize(
    "form", ["objects by id", "texts by id", "object a line", "saved", "saved with splits", "binary", "large binary"]
)
def test_other_layouts_are_read(tmp_path: Path, form: str) -> None:
    """JSON objects by id, folders of `save_to_disk`, texts that were stored as bytes."""
    by_id = {row["_id"]: {"title": row["title"], "text": row["text"]} for row in CORPUS}
    files: dict[str, Any] = {"corpus.jsonl": None}
    if form == "objects by id":
        files["corpus.json"] = json.dumps(by_id, indent=1)
    elif form == "object a line":
        files["corpus.jsonl"] = lines([{name: row} for name, row in by_id.items()])
    elif form == "texts by id":
        files |= {"queries.jsonl": None, "queries.json": json.dumps({row["_id"]: row["text"] for row in ASKED})}
        files["corpus.jsonl"] = lines(CORPUS)
    published(tmp_path, **files)
    if form.startswith("saved"):
        datasets = pytest.importorskip("datasets", reason="needs the extra train")
        corpus, judged = datasets.Dataset.from_list(CORPUS), datasets.Dataset.from_list(
            [{"query-id": query, "corpus-id": name, "score": grade} for query, row in JUDGED.items()
             for name, grade in row.items()]
        )  # fmt: skip
        if form == "saved":
            corpus.save_to_disk(str(tmp_path / "corpus"), num_shards=2)
        else:
            datasets.DatasetDict(corpus=corpus).save_to_disk(str(tmp_path / "corpus"))
            (tmp_path / "qrels" / "test.tsv").unlink()
            datasets.DatasetDict(test=judged).save_to_disk(str(tmp_path / "qrels"))
    elif "binary" in form:
        pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra arrow")
        kind = pyarrow.binary() if form == "binary" else pyarrow.large_binary()
        columns = {name: pyarrow.array([row[name].encode() for row in CORPUS], kind) for name in CORPUS[0]}
        parquet.write_table(pyarrow.table({**columns, "image": [b"\xff\xd8", b"\xff"]}), tmp_path / "corpus.parquet")
    as_published(load_dataset(tmp_path))


def test_columns_of_parquet_are_named(tmp_path: Path) -> None:
    """Bytes that are no text, and a column that is there twice: the last one won."""
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra arrow")
    published(tmp_path, **{"corpus.jsonl": None})
    parquet.write_table(pyarrow.table({"_id": ["d1"], "text": [b"caf\xe9"]}), tmp_path / "corpus.parquet")
    with pytest.raises(DataInvalid, match=r"line 1: 'text' is b'caf\\xe9' \(bytes\); expected a text"):
        load_dataset(tmp_path)
    twice = pyarrow.Table.from_arrays([pyarrow.array([each]) for each in ("d1", "a b", "c d")], ["_id", "text", "text"])
    parquet.write_table(twice, tmp_path / "corpus.parquet")
    with pytest.raises(DataInvalid, match="column 'text' appears twice"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {"corpus.jsonl": None, "corpus.json": json.dumps({f"d{n}": 7 for n in range(50_000)})},
        {"corpus.jsonl": lines([{"_id": ["d"] * 50_000, "text": "x"}])},
        {"corpus.jsonl": lines([{"_id": "d1", "text": ["x"] * 50_000}])},
        {"corpus.jsonl": lines([["x"] * 50_000])},
        {"corpus.jsonl": lines([{"_id": "d" * 50_000, "text": "x"}] * 2)},
        {"qrels/test.tsv": "q1\td1\t" + "x" * 50_000 + "\n"},
        {"qrels/test.tsv": "q1\td1\t1\nq1 " + "x" * 50_000 + "\n"},
        {"qrels/test.tsv": f"{'q' * 50_000}\td1\t1\n"},
        {"qrels/test.tsv": None, "qrels/test.json": json.dumps([["x"] * 50_000])},
        {"qrels/test.tsv": None, "qrels/test.json": json.dumps({f"q{n}": [1] for n in range(50_000)})},
        {"qrels/test.tsv": None, "qrels/test.json": json.dumps([{"qid": "q1", "pid": "d1", "rel": ["x"] * 50_000}])},
    ],
)
def test_no_message_grows_with_the_file(tmp_path: Path, files: dict[str, Any]) -> None:
    """Every id of a corpus was listed."""
    with pytest.raises(DataInvalid) as refused:
        load_dataset(published(tmp_path, **files))
    assert len(str(refused.value)) - len(str(tmp_path)) < 600


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({f"d{n}": 7 for n in range(50_000)}),
        json.dumps([{"query": "a", "passage": ["x"] * 50_000 + [7]}]),
        json.dumps([{f"c{n}": ["x"] * n for n in range(300)} | {"label": [1, 0]}]),
        json.dumps([{"query": "a", "passage": "b", "label": "x" * 50_000}]),
        json.dumps([{"query": "a", "passage": "b", "weight": ["x"] * 50_000}]),
        json.dumps([{"query": "a", "passage": "b"}]).replace("}", f', "query": "{"x" * 50_000}"}}'),
    ],
)
def test_no_message_about_pairs_grows_either(tmp_path: Path, content: str) -> None:
    """The same of rows for training; a key that is there twice is refused there too."""
    path = tmp_path / "train.json"
    path.write_text(content)
    with pytest.raises(DataInvalid) as refused:
        load_data(path)
    assert len(str(refused.value)) - len(str(tmp_path)) < 600


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("question\tdocument\trelevance", True),
        ("Topic No\tIteration\tDocument No\tRelevancy", True),
        ("question_id\tanswer_id\tlabel", True),
        ("document\tquestion\trelevance", False),
        ("article_id\tquestion_id\tlabel", False),
        ("passage\tquestion\tscore", False),
        ("text_id\tq\trel", False),
        ("item\tother\tgain", False),
    ],
)
def test_a_header_in_other_words_is_read_where_they_tell_the_order(tmp_path: Path, header: str, read: bool) -> None:
    """Ids that are numbers on both sides fit either way: pairs came out the wrong way round."""
    columns = 1 + header.count("\t")
    rows = [("1", "2", "1"), ("2", "1", "1")]
    judged = "".join("\t".join((one, *["0"] * (columns - 3), two, grade)) + "\n" for one, two, grade in rows)
    numbered = {
        f"{name}.jsonl": lines([{**row, "_id": str(number)} for number, row in enumerate(texts, start=1)])
        for name, texts in (("corpus", CORPUS), ("queries", ASKED))
    }
    for suffix, tab in ((".tsv", "\t"), (".csv", ",")):
        files = {**numbered, "qrels/test.tsv": None, f"qrels/test{suffix}": f"{header}\n{judged}".replace("\t", tab)}
        folder = published(tmp_path / suffix[1:], **files)
        if read:
            assert load_dataset(folder).qrels == {"1": {"2": 1}, "2": {"1": 1}}
        else:
            with pytest.raises(DataInvalid, match="not clear which is query, passage and grade"):
                load_dataset(folder)


def test_titles_without_spaces_are_told_too(tmp_path: Path) -> None:
    """Scripts that put no space between words have titles, which are dropped in a column of another name."""
    rows = [
        {"_id": "d1", "headline": "太阳能电池板", "text": "一段文字"},
        {"_id": "d2", "headline": "2024-01", "text": "两段文字"},
    ]
    told = load_dataset(published(tmp_path, **{"corpus.jsonl": lines(rows)})).notes
    assert any("'headline' (1 rows)" in note for note in told)


def rows_of(count: int, first: int = 0) -> str:
    return lines(
        [{"query": f"how is thing {n} done", "passage": f"by pressing {n} twice"} for n in range(first, count)]
    )


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["{}-00000-of-00003.jsonl", "{}-00002-of-00003.jsonl"], "2 of 3 shards are there; number 1 is missing"),
        (["{}-00000-of-00004.jsonl"], "1 of 4 shards are there; number 1 and 2 more is missing"),
        (["{}-00001-of-00002.jsonl"], "1 of 2 shards are there; number 0 is missing"),
        (["{}-00000-of-00002-0a1b2c3d4e5f.jsonl"], "1 of 2 shards are there; number 1 is missing"),
        (["{}-00000-of-00002.jsonl", "{}-00001-of-00003.jsonl"], "are shards of 2 and 3, of two exports"),
    ],
)
@pytest.mark.parametrize("part", ["corpus", "queries", "qrels/test", "train"])
def test_a_shard_that_is_missing_is_known(part: str, names: Sequence[str], reason: str, tmp_path: Path) -> None:
    """What a stopped download leaves was a smaller set, "0 errors, 0 warnings"."""
    if part == "train":
        for number, name in enumerate(names):
            (tmp_path / name.format(part)).write_text(rows_of(number * 9 + 9, number * 9))
        with pytest.raises(DataInvalid, match=reason):
            load_data(tmp_path)
        return
    content = {"corpus": lines(CORPUS), "queries": lines(ASKED), "qrels/test": QRELS}[part]
    whole = "qrels/test.tsv" if part == "qrels/test" else f"{part}.jsonl"
    files = {name.format(part).replace(".jsonl", Path(whole).suffix): content for name in names}
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(published(tmp_path, **{whole: None, **files}), "test")


def test_whole_sets_of_shards_are_read(tmp_path: Path) -> None:
    """Counted from 0 or from 1, with digests as Hugging Face's datasets wrote them for a while, or compressed."""
    for names in (
        ["corpus-00000-of-00002-0a1b2c3d4e5f.jsonl", "corpus-00001-of-00002-99887766aabb.jsonl"],
        ["corpus-00001-of-00002.jsonl", "corpus-00002-of-00002.jsonl"],
        ["corpus-00000-of-00002.jsonl.gz", "corpus-00001-of-00002.jsonl.gz"],
    ):
        folder = tmp_path / names[0]
        parts = [lines([row]).encode() for row in CORPUS]
        files = {
            name: gzip.compress(part) if name.endswith(".gz") else part for name, part in zip(names, parts, strict=True)
        }
        as_published(load_dataset(published(folder, **{"corpus.jsonl": None, **files}), "test"))
