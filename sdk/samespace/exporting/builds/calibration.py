"""Calibration texts: what int8 looks at to learn how large the values inside the encoder get. No labels are read.

From a retrieval set they are a sample of its passages and of its train queries (dev queries where it has no train
split). Queries that the gate asks are left out, whatever split or file they stand in, and so is every test split:
a build may not be tuned on what measures it. The passages of a set are those of all its splits, as in an index.

Each text goes through the encoder's own text path, with its role's prompt and windows; of a long text one window
is taken. What it gives up: windows above 512 tokens, which would cost minutes and show no larger values.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from ...errors import DataInvalid
from ...evaluation.dataset import Dataset, load_dataset, splits
from ...model.exportable import Exportable
from ...text import ROLES, Int64, Role, TextEncoder, pad

TEXTS: Final = 300
_QUERIES: Final = 100  # of them at most
_MAX_TOKENS: Final = 512
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Texts with their roles, and where they come from.

    Attributes:
        name: the data's name and what of it was sampled from; no path.
    """

    name: str
    texts: tuple[str, ...]
    roles: tuple[Role, ...]

    def record(self) -> dict[str, Any]:
        """What provenance keeps: the name, how many texts, and a digest of them; never a text."""
        lines = "".join(json.dumps([role, text]) + "\n" for role, text in zip(self.roles, self.texts, strict=True))
        return {
            "name": self.name,
            "texts": len(self.texts),
            "queries": self.roles.count("query"),
            "sha256": hashlib.sha256(lines.encode("ascii")).hexdigest(),
        }

    def inputs(self, checkpoint: Exportable) -> list[tuple[Int64, Int64]]:
        """One model input a text: (ids, mask), each (1, tokens) int64."""
        recipe = checkpoint.recipe
        limit = min(recipe.token_limit, _MAX_TOKENS)
        overlap = min(recipe.window_overlap, limit // 4)
        short = replace(recipe, token_limit=limit, window_overlap=overlap)
        text_encoder = TextEncoder(Tokenizer.from_buffer(checkpoint.tokenizer), short)
        chosen = random.Random(_SEED)
        return [
            pad([chosen.choice(text_encoder.tokenize([text], role)[0].windows)])
            for text, role in zip(self.texts, self.roles, strict=True)
        ]


def load_calibration(path: Path, *, gate: Dataset | None = None, count: int = TEXTS) -> Calibration:
    """A sample of the texts at *path*: a BEIR folder, a .jsonl file, or a file with one text a line.

    Args:
        path: lines of a .jsonl file are objects with "text", and optionally "title" and "role"; a text without
            a role is a passage.
        gate: the data that the build will be measured on; its queries are left out.
        count: texts at most.

    Raises:
        DataInvalid: there is no text, or a line is not what it has to be.
    """
    if path.is_dir():
        return _of_set(path, gate, count)
    asked = frozenset(gate.queries) if gate else frozenset()
    texts: dict[Role, list[str]] = {role: [] for role in ROLES}
    for role, text in _lines(path):
        if role == "passage" or text not in asked:
            texts[role].append(text)
    return _sampled(path.stem, texts["query"], texts["passage"], count, path)


def _of_set(folder: Path, gate: Dataset | None, count: int) -> Calibration:
    asked: Collection[str] = frozenset(gate.queries) if gate else frozenset()
    same = gate is not None and gate.folder.resolve() == folder.resolve()
    taken = {gate.split} if gate is not None and same else set()
    split = next((each for each in ("train", "dev") if each in splits(folder) and each not in taken), None)
    if split is None:
        passages = [text for _, text in _lines(folder / "corpus.jsonl")]
        return _sampled(f"{folder.resolve().name}: passages", [], passages, count, folder)
    data = load_dataset(folder, split)
    queries = [query for query in data.queries if query not in asked]
    return _sampled(f"{data.name}: passages, {split} queries", queries, data.passages, count, folder)


def _sampled(name: str, queries: Sequence[str], passages: Sequence[str], count: int, path: Path) -> Calibration:
    """At most *count* different texts, up to a third of them queries, in an order that the seed decides."""
    chosen = random.Random(_SEED)
    kinds: Mapping[Role, list[str]] = {
        "query": sorted({text for text in queries if text.strip()}),
        "passage": sorted({text for text in passages if text.strip()}),
    }
    most = min(_QUERIES, count // 3) if kinds["passage"] else count
    asked = chosen.sample(kinds["query"], min(most, len(kinds["query"])))
    found = chosen.sample(kinds["passage"], min(count - len(asked), len(kinds["passage"])))
    roles: list[Role] = ["passage"] * (len(asked) + len(found))
    roles[: len(asked)] = ["query"] * len(asked)
    if not roles:
        raise DataInvalid(path=str(path), reason="has no text to calibrate with")
    return Calibration(name, (*asked, *found), tuple(roles))


def _lines(path: Path) -> Iterator[tuple[Role, str]]:
    """(role, text) of each line that is not blank."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read as text: {error}") from error
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        if path.suffix != ".jsonl":
            yield "passage", line.strip()
            continue
        try:
            entry: Any = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataInvalid(path=f"{path}, line {number}", reason=f"is not JSON: {error.msg}") from error
        fields = entry if isinstance(entry, dict) else {}
        role, title, text = fields.get("role", "passage"), fields.get("title") or "", fields.get("text")
        if role not in ROLES or not isinstance(text, str) or not isinstance(title, str):
            raise DataInvalid(path=f"{path}, line {number}", reason='expected {"text", "title"?, "role"?}')
        yield role, f"{title} {text}".strip()
