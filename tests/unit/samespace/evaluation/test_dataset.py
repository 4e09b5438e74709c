"""Reading BEIR folders."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest

from samespace.errors import DataInvalid
from samespace.evaluation import load_dataset, splits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of three passages and three queries, of which two are in the test split."""
    write(tmp_path / "corpus.jsonl", [("p1", "Title", "one"), ("p2", "", "two "), ("p3", None, "three")])
    (tmp_path / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{i}", "text": f" query {i}"}) + "\n" for i in (1, 2, 3))
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq2\tp1\t1\nq2\tp2\t0\nq1\tp3\t2\nq3\tp1\t0\n"
    )
    return tmp_path


def write(path: Path, passages: list[tuple[str, str | None, str]]) -> None:
    entries = [
        {"_id": name, "text": text} | ({} if title is None else {"title": title}) for name, title, text in passages
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_a_folder_is_read_as_it_is(folder: Path) -> None:
    """Title and text are joined and stripped, and queries keep the order of their file."""
    data = load_dataset(folder)
    assert data.passage_ids == ("p1", "p2", "p3")
    assert data.passages == ("Title one", "two", "three")
    assert data.query_ids == ("q1", "q2")
    assert data.queries == ("query 1", "query 2")
    assert data.qrels == {"q1": {"p3": 2}, "q2": {"p1": 1, "p2": 0}}
    assert data.name == folder.name
    assert splits(folder) == ("test",)


def test_a_query_without_a_relevant_passage_is_not_asked(folder: Path) -> None:
    """q3 has only a grade of 0: nothing could be found for it."""
    assert load_dataset(folder).notes == (
        "1 judged queries have no relevant passage, such as 'q3'; they are left out of the mean, where trec_eval "
        "counts each as 0",
    )
    assert "q3" not in load_dataset(folder).query_ids


@pytest.mark.parametrize("name", ["top_ranked/test.jsonl", "top_ranked.jsonl", "top_ranked"])
def test_lists_of_what_is_ranked_are_told(folder: Path, name: str) -> None:
    """MTEB's reranking ranks these alone: a score over all passages is of another task."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text('{"query-id": "q1", "corpus-ids": ["p1", "p2"]}\n')
    assert any("top_ranked" in note and "of another task" in note for note in load_dataset(folder).notes)


def test_passages_that_are_excluded_for_a_query_are_told(folder: Path) -> None:
    """BRIGHT leaves them out of the query's ranking, and writes "N/A" for none."""
    rows = [
        {"_id": f"q{i}", "text": f"query {i}", "excluded_ids": named}
        for i, named in ((1, ["N/A"]), (2, ["p3"]), (3, []))
    ]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert any(note.startswith("1 of 3 queries have excluded_ids") for note in load_dataset(folder).notes)
    (folder / "queries.jsonl").write_text("".join(json.dumps({**row, "excluded_ids": ["N/A"]}) + "\n" for row in rows))
    assert not any("excluded_ids" in note for note in load_dataset(folder).notes)


def test_a_judgement_file_may_have_no_header(folder: Path) -> None:
    """The first line counts as a header only if its grade is not a number."""
    (folder / "qrels" / "test.tsv").write_text("q1\tp1\t1\n")
    assert load_dataset(folder).qrels == {"q1": {"p1": 1}}


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    """The error has the path of the file that is not there."""
    (folder / missing).unlink()
    with pytest.raises(DataInvalid, match=f"{missing}: no such file"):
        load_dataset(folder)


def test_a_missing_split_names_the_splits_there_are(folder: Path) -> None:
    """Asking for dev says that the set has test."""
    with pytest.raises(DataInvalid, match=r"dev\.tsv: no such file; splits of this set: test"):
        load_dataset(folder, "dev")


def test_a_missing_folder_says_what_was_expected(tmp_path: Path) -> None:
    """It names the three parts of the layout."""
    with pytest.raises(DataInvalid, match=r"no such folder; expected corpus\.jsonl"):
        load_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: is not JSON"),
        ("[]", r"line 2: is \[\] \(list\); expected an object"),
        ('{"_id": "p9"}', 'line 2: expected an object with "_id" and "text"'),
        ('{"_id": [9], "text": "x"}', r"line 2: id \[9\] \(list\); expected a text or a whole number"),
        ('{"_id": true, "text": "x"}', r"line 2: id True \(bool\); expected a text or a whole number"),
        ('{"_id": "p2", "text": 7}', r"line 2: 'text' is 7 \(int\); expected a text"),
        ('{"_id": "p1", "text": "x"}', "line 2: passage id 'p1' appears twice, first in line 1"),
    ],
)
def test_a_bad_passage_is_named_by_its_line(folder: Path, line: str, reason: str) -> None:
    """Each kind of bad line gets its number and what is wrong."""
    (folder / "corpus.jsonl").write_text('{"_id": "p1", "text": "x"}\n' + line + "\n")
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q1\tp1", "line 3: expected query id"),
        ("q1\tp1\tyes", "line 3: expected query id"),
        ("q1\tp1\tnan", "line 3: expected query id"),
        ("q1\tp1\t2", "line 3: query 'q1' and passage 'p1' have grade 1 already, now 2"),
    ],
)
def test_a_bad_judgement_is_named_by_its_line(folder: Path, line: str, reason: str) -> None:
    """Missing columns and contradictions are refused with the line number."""
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq1\tp1\t1\n{line}\n")
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(folder)


def test_an_empty_split_is_refused(folder: Path) -> None:
    """A split without relevant passages cannot score anything."""
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(DataInvalid, match="no query of this split has a relevant passage"):
        load_dataset(folder)


def test_bytes_that_are_not_text_are_refused(folder: Path) -> None:
    """Latin-1 in a corpus is an error, not a passage with question marks."""
    (folder / "corpus.jsonl").write_bytes('{"_id": "p1", "text": "caf\xe9"}\n'.encode("latin-1"))
    with pytest.raises(DataInvalid, match="is not UTF-8"):
        load_dataset(folder)


CORPUS = [{"_id": 1, "title": "Title", "text": "one"}, {"_id": 2, "text": "two"}, {"_id": 3, "text": "three"}]
ASKED = [{"_id": 11, "text": "query 1"}, {"_id": 12, "text": "query 2"}]
JUDGED = {"11": {"3": 2}, "12": {"1": 1, "2": 0}}


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def published(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


BEIR = "query-id\tcorpus-id\tscore\n11\t3\t2\n12\t1\t1\n12\t2\t0\n"
JUDGEMENT_FILES = {
    "qrels/test.tsv": BEIR,
    "qrels/test.tsv.gz": BEIR,
    "qrels/test.csv": BEIR.replace("\t", ","),
    "qrels/test.txt": "11 0 3 2\n12 0 1 1\n12 0 2 0\n",
    "qrels/test.qrels": "11\tQ0\t3\t2\n12\tQ0\t1\t1\n12\tQ0\t2\t0\n",
    "qrels/qrels.test.tsv": "11\t0\t3\t2\n12\t0\t1\t1\n12\t0\t2\t0\n",
    "qrels/test.trec": "11 3 2\n12 1 1\n12 2 0\n",
    "qrels/test-00000-of-00001.jsonl": lines(
        [
            {"query-id": 11, "corpus-id": 3, "score": 2.0},
            {"query-id": 12, "corpus-id": 1, "score": 1.0},
            {"query-id": 12, "corpus-id": 2, "score": 0.0},
        ]
    ),
    "qrels/test.json": json.dumps(JUDGED),
    "qrels/test.tsv  ": "\tquery-id\tcorpus-id\tscore\n0\t11\t3\t2\n1\t12\t1\t1\n2\t12\t2\t0\n",
    "qrels/test.csv ": 'query-id,corpus-id,score\n"11",3,2\n12,"1",1\n12,2,"0"\n',
    "qrels/test.tsv ": "corpus-id\tscore\tquery-id\n3\t2\t11\n1\t1.0\t12\n2\t0\t12\n",
}


@pytest.mark.parametrize("name", JUDGEMENT_FILES)
def test_judgements_are_read_as_people_publish_them(tmp_path: Path, name: str) -> None:
    """BEIR, TREC, MTEB, JSON; with numbers as ids, float grades, compressed, columns in another order."""
    content = JUDGEMENT_FILES[name].encode()
    files = {"corpus.jsonl": lines(CORPUS).encode(), "queries.jsonl": lines(ASKED).encode()}
    content = gzip.compress(content) if name.endswith(".gz") else content
    data = load_dataset(published(tmp_path, {**files, name.strip(): content}))
    assert data.qrels == JUDGED
    assert data.passage_ids == ("1", "2", "3")
    assert splits(tmp_path) == ("test",)


def parquet(rows: list[dict[str, object]]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
    tables = pytest.importorskip("pyarrow.parquet", reason="needs the extra arrow")
    out = pyarrow.BufferOutputStream()
    tables.write_table(pyarrow.Table.from_pylist(rows), out)
    return bytes(out.getvalue())


@pytest.mark.parametrize("titles", [False, True])
def test_texts_may_have_no_header(tmp_path: Path, titles: bool) -> None:
    """MS MARCO's and MIRACL's files: an id and a text, perhaps with a title between, and nothing else."""
    (tmp_path / "qrels").mkdir()
    title = "files\t" if titles else ""
    (tmp_path / "corpus.tsv").write_text(f"7#0\t{title}open the file\n7#1\t{title}close it again\n")
    (tmp_path / "queries.tsv").write_text("1\thow do i open it\n2\thow is it closed\n")
    (tmp_path / "qrels" / "dev.tsv").write_text("1 Q0 7#0 1\n2 Q0 7#1 1\n")
    found = load_dataset(tmp_path, "dev")
    assert found.queries == ("how do i open it", "how is it closed")
    assert found.passages == tuple(f"{'files ' * titles}{text}" for text in ("open the file", "close it again"))


def test_a_header_of_other_names_is_no_text(tmp_path: Path) -> None:
    """One word at its end: it is named, and not ranked as a passage."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.tsv").write_text("number\tabstract\n1\topen the file\n")
    (tmp_path / "queries.tsv").write_text("1\thow do i open it\n2\thow is it closed\n")
    (tmp_path / "qrels" / "dev.tsv").write_text("1 Q0 1 1\n")
    with pytest.raises(DataInvalid, match="found 'number', 'abstract'"):
        load_dataset(tmp_path, "dev")


@pytest.mark.parametrize("place", ["default", "data"])
def test_judgements_in_mtebs_folders(tmp_path: Path, place: str) -> None:
    """Parquet by configuration: corpus, queries, and the judgements under a name of its own."""
    parts = {
        "corpus/corpus-00000-of-00001": [{"_id": "p1", "title": "", "text": "open"}, {"_id": "p2", "text": "close"}],
        "queries/queries-00000-of-00001": [{"_id": "q1", "text": "how to open"}],
        f"{place}/test-00000-of-00001": [{"query-id": "q1", "corpus-id": "p1", "score": 1.0}],
    }
    for name, rows in parts.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.parquet").write_bytes(parquet(rows))
    found = load_dataset(tmp_path, "test")
    assert (found.queries, found.passages) == (("how to open",), ("open", "close"))


@pytest.mark.parametrize(
    "form", ["gzip", "bzip2", "xz", "gzip without its suffix", "array", "parquet", "shards", "tsv"]
)
def test_texts_are_read_as_people_publish_them(tmp_path: Path, form: str) -> None:
    """Compressed JSON lines, one JSON array, Parquet, shards in a folder, a table with tabs."""
    wanted = {}
    for part, rows in (("corpus", CORPUS), ("queries", ASKED)):
        plain = lines(rows).encode()
        table = "_id\ttext\n" + "".join(f"{row['_id']}\t{row.get('title', '')} {row['text']}\n" for row in rows)
        wanted |= {
            "gzip": {f"{part}.jsonl.gz": gzip.compress(plain)},
            "bzip2": {f"{part}.jsonl.bz2": bz2.compress(plain)},
            "xz": {f"{part}.jsonl.xz": lzma.compress(plain)},
            "gzip without its suffix": {f"{part}.jsonl": gzip.compress(plain)},
            "array": {f"{part}.json": json.dumps(rows, indent=1).encode()},
            "parquet": {f"{part}.parquet": parquet(rows)} if form == "parquet" else {},
            "shards": {
                f"{part}/{part}-00000-of-00002.jsonl": lines(rows[:1]).encode(),
                f"{part}/{part}-00001-of-00002.jsonl": lines(rows[1:]).encode(),
            },
            "tsv": {f"{part}.tsv": table.encode()},
        }[form]
    data = load_dataset(published(tmp_path, {**wanted, "qrels/test.tsv": BEIR.encode()}))
    assert data.passages == ("Title one", "two", "three")
    assert data.queries == ("query 1", "query 2")
    assert data.qrels == JUDGED


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"corpus.jsonl.gz": b"x"}, r"corpus.jsonl: there is .*corpus.jsonl.gz too, and only one can be read"),
        ({"corpus.json": b"[]"}, r"there is .*corpus.jsonl too, and only one can be read"),
        ({"qrels/test.jsonl": b"{}"}, r"test.tsv judges split 'test' too|test.jsonl judges split 'test' too"),
        ({"qrels/test.tsv": b"91\t3\t1\n"}, r"judges 1 pairs, and no query of it is there: it names '91', .* is '11'"),
        ({"qrels/test.tsv": b"11\tp3\t1\n"}, r"judges 1 pairs, and no passage of it is there: it names 'p3', .* '1'"),
        ({"qrels/test.tsv": b"11\t3\t1\n", "corpus.jsonl": b"\x1f\x8b\x08junk"}, "cannot be decompressed"),
        ({"qrels/test.tsv": b"11\t3\t1\n", "corpus.jsonl": b"\x28\xb5\x2f\xfdxxxx"}, "compressed with zstd"),
        ({"qrels/test.tsv": b"0\t11\t3\t1\n1\t12\t1\t1\n"}, "'1' counts the rows, and its second '12' is not TREC's"),
        ({"qrels/test.tsv": b"11\t3\tnan\n12\t1\t1\n"}, "line 1: expected query id, passage id and a number"),
        ({"qrels/test.tsv": b"11\t3\t\n12\t1\t1\n"}, "line 1: expected query id, passage id and a number"),
        ({"qrels/test.tsv": b"passage_id\tquestion\tgain\n3\t11\t1\n"}, "not clear which is query, passage and grade"),
        ({"qrels/test.tsv": b"1\x00\t\x00"}, "it has zero bytes, as UTF-16 has; save it as UTF-8"),  # without its mark
        ({"qrels/test.tsv": b"11 Q0 12 1 9.5 bm25\n"}, "is a TREC run"),
        ({"qrels/test.tsv": b"11 0 3 of 1\n"}, "has 5 columns; .*Ids with spaces need tabs"),
        ({"qrels/test.tsv": b"11 0 3 1\n12 0 1 2 1\n"}, "expected query id, passage id and a number"),
        ({"qrels/test.tsv": b"11\t3\t1\n12\t1\t1_0\n"}, "expected query id, passage id and a number"),
        ({"qrels/test.tsv": b"\xff\xfe1\x00"}, "is UTF-16 text; save it as UTF-8"),
        (
            {"corpus.jsonl": b'{"_id": 1, "text": "a", "contents": "b"}\n'},
            "two columns for the text: 'text' is 'a' and 'contents' is 'b'; keep one",
        ),
        ({"corpus.jsonl": b'{"_id": 1, "te": "a"}\n'}, "expected an object with"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    """Two files that say the same, ids of another set, damaged archives: named, and none wins in silence."""
    whole = {
        "corpus.jsonl": lines(CORPUS).encode(),
        "queries.jsonl": lines(ASKED).encode(),
        "qrels/test.tsv": BEIR.encode(),
    }
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(published(tmp_path, {**whole, **files}))


def test_what_an_archive_leaves_beside_its_files_is_no_data(folder: Path) -> None:
    """macOS writes a file with ._ in front beside each one."""
    for name in ("._corpus.jsonl", "qrels/._test.tsv", "qrels/.DS_Store"):
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    assert splits(folder) == ("test",)
    assert len(load_dataset(folder).passages) == 3


def test_a_set_that_lies_elsewhere_is_pointed_at(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a folder of the folder, as archives unpack, or in the archive still."""
    outer = tmp_path_factory.mktemp("outer")
    (outer / "set.zip").write_bytes(b"PK")
    with pytest.raises(DataInvalid, match=r"set.zip is an archive, unpack it first"):
        load_dataset(outer)
    folder.rename(outer / "set")
    with pytest.raises(DataInvalid, match=r"outer0/set has one, name that folder"):
        load_dataset(outer)


def test_an_id_with_a_comma_may_stand_in_a_csv_file(folder: Path) -> None:
    """Quoted, as CSV has it."""
    write(folder / "corpus.jsonl", [("p,1", "", "one")])
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "test.csv")
    (folder / "qrels" / "test.csv").write_text('query-id,corpus-id,score\nq1,"p,1",1\n')
    assert load_dataset(folder).qrels == {"q1": {"p,1": 1}}


def test_texts_that_are_empty_are_told(folder: Path) -> None:
    """Such a query finds whatever is nearest to nothing, and its score is noise."""
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": " "}\n{"_id": "q2", "text": "query 2"}\n')
    notes = load_dataset(folder).notes
    assert "1 of 2 queries have no text, such as 'q1'; they are asked all the same" in notes
    assert not any("passages have no text" in note for note in notes)
