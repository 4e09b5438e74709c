"""Documents from wherever they lie: what an encoder is adapted to.

one file             .jsonl, .json, .csv, .tsv or .parquet, a document a row (compressed ones too); or one text
BEIR folder          its corpus alone: queries and judgements are not looked at
folder of texts      .md, .html, .txt, also in folders below; their headings make sections
folder of row files  all that lie in it

What it leaves to others: markup (`markup`), what is made of the texts (`signals`).
What it gives up: documents that do not fit into memory.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from ...errors import DataInvalid
from ...evaluation.files import SUFFIXES, parts_of, read_rows, require_all_shards, suffix_of
from ...text import lone_surrogate
from .markup import Page, Section, read_html, read_markdown, read_plain

TITLES: Final = ("title", "heading", "name", "subject", "headline")
TEXTS: Final = ("text", "content", "contents", "body", "passage", "document", "description", "article", "answer")
IDS: Final = ("_id", "id", "docid", "doc_id", "docno", "pid", "url", "path")
_READERS: Final[Mapping[str, Callable[[str], Page]]] = {
    ".md": read_markdown, ".markdown": read_markdown, ".mdx": read_markdown, ".html": read_html, ".htm": read_html,
    ".xhtml": read_html, ".txt": read_plain, ".text": read_plain, ".rst": read_plain,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One document.

    Attributes:
        name: its id, or its path in the folder.
        title: "" for none.
        sections: in order; each has a text.
    """

    name: str
    title: str
    sections: tuple[Section, ...]

    @property
    def text(self) -> str:
        """All that it says, headings too."""
        return "\n\n".join([self.title, *(f"{part.heading}\n\n{part.text}" for part in self.sections)])


@dataclass(frozen=True, slots=True)
class Library:
    """What was read.

    Attributes:
        source: the file or folder.
        documents: in a fixed order; no two have one name.
        notes: what was left out and is worth knowing, as sentences.
    """

    source: Path
    documents: tuple[SourceDocument, ...]
    notes: tuple[str, ...] = ()


def read_documents(source: Path | str) -> Library:
    """Read the documents of a file or folder.

    Raises:
        DataInvalid: there is no such thing, it cannot be read, or nothing in it has a text.
        ExtraMissing: what reads this format is not installed.
    """
    path = Path(source)
    if not path.exists():
        raise DataInvalid(path=str(path), reason="no such file or folder; name documents")
    found, notes = _read(path)
    documents = [document for document in found if any(section.text for section in document.sections)]
    if len(documents) < len(found):
        notes.append(f"{len(found) - len(documents)} of {len(found)} documents have no text and are left out")
    if not documents:
        raise DataInvalid(
            path=str(path),
            reason=f"no document with a text; read are {', '.join(_READERS)}, and rows of {', '.join(SUFFIXES)} with a "
            f"column such as {TEXTS[0]}",
        )
    return Library(path, tuple(_unique(documents)), tuple(notes))


def link_target(name: str, target: str) -> str:
    """The path in the folder that a link of document *name* goes to; "" for one that leaves the folder."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not parts.path:
        return ""
    path = unquote(parts.path)
    whole = path.lstrip("/") if path.startswith("/") else posixpath.join(posixpath.dirname(name), path)
    return posixpath.normpath(whole)


def _read(path: Path) -> tuple[list[SourceDocument], list[str]]:
    if path.is_file():
        return (_texts(path.parent, [path]), []) if _is_text(path) else (list(_rows(path)), [])
    if corpus := parts_of(path, "corpus"):
        return [document for part in corpus for document in _rows(part)], []
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file, path))
    texts = [file for file in files if _is_text(file)]
    tables = [file for file in files if suffix_of(file) in SUFFIXES and file not in texts]
    others = len(files) - len(texts) - len(tables)
    notes = [f"{others} files are neither texts nor rows and are left out"] if others else []
    if texts:  # rows beside texts are more likely settings than documents
        notes += [f"{len(tables)} files of rows beside the texts are left out"] if tables else []
        return _texts(path, texts), notes
    require_all_shards(tables)
    return [document for table in tables for document in _rows(table)], notes


def _is_text(file: Path) -> bool:
    return file.suffix.lower() in _READERS


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _texts(root: Path, files: Sequence[Path]) -> list[SourceDocument]:
    documents = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataInvalid(path=str(file), reason=f"cannot be read as UTF-8 text: {error}") from error
        page = _READERS[file.suffix.lower()](text)
        documents.append(SourceDocument(file.relative_to(root).as_posix(), page.title, page.sections))
    return documents


def _rows(path: Path) -> Iterator[SourceDocument]:
    for number, row in read_rows(path):
        where = f"{path}, line {number}"
        if not isinstance(row, Mapping):
            raise DataInvalid(path=where, reason="expected an object with a text")
        body = next((name for name in TEXTS if isinstance(row.get(name), str)), None)
        if body is None:
            have = ", ".join(map(repr, row)) or "nothing"
            raise DataInvalid(path=where, reason=f"expected a column {', '.join(TEXTS[:4])}; found {have}")
        title, text = _string(where, row, TITLES), str(row[body]).strip()
        if (place := lone_surrogate(text)) is not None:
            raise DataInvalid(path=where, reason=f"character {place} of {body!r} is a lone surrogate, not text")
        name = _string(where, row, IDS) or f"{path.name}:{number}"
        yield SourceDocument(name, title, (Section(title, text),) if text else ())


def _string(where: str, row: Mapping[str, Any], names: Sequence[str]) -> str:
    value = next((row[name] for name in names if row.get(name) is not None), "")
    if not isinstance(value, str | int):
        raise DataInvalid(path=where, reason=f"{value!r} has to be a string")
    return str(value).strip()


def _unique(documents: Sequence[SourceDocument]) -> Iterator[SourceDocument]:
    seen: dict[str, int] = {}
    for document in documents:
        seen[document.name] = times = seen.get(document.name, 0) + 1
        yield (
            document if times == 1 else SourceDocument(f"{document.name} ({times})", document.title, document.sections)
        )
