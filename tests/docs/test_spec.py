"""The specification of the space id says what the code does, and what its golden vectors are."""

from __future__ import annotations

import hashlib
import json
import re

from fakes.doc_pages import ROOT
from samespace.artifact import fingerprint

PAGE = (ROOT / "docs" / "spec" / "space-id.md").read_text(encoding="utf-8")
VALUES = {
    "the integer 1": 1,
    "the double 1": 1.0,
    "the double 0.00001": 0.00001,
    "the double 10^16": 1e16,
    "é (U+00E9)": "é",
    "😀 (U+1F600)": "😀",
    'a, line feed, U+007F, /, "': 'a\n\x7f/"',
    "an object with b = 1 and a = [null, true]": {"b": 1, "a": [None, True]},
}


def test_the_table_of_canonical_bytes() -> None:
    """Each line of the table gives the bytes that the code digests."""
    table = dict(
        re.findall(r"^\| (.+?) \| `(.+)` \|$", PAGE.partition("| value |")[2].partition("\n## ")[0], re.MULTILINE)
    )
    assert set(table) == set(VALUES)
    for name, expected in table.items():
        assert fingerprint.canonical_json(VALUES[name]) == expected.encode("ascii"), name


def test_the_keys_of_an_identity() -> None:
    """The page lists exactly the keys that the identity of the golden manifest has, and every pooling."""
    listed = re.findall(
        r"^\| `(\w+)` \|", PAGE.partition("identity of an encoder")[2].partition("\n**`weights`")[0], re.MULTILINE
    )
    golden = json.loads((ROOT / "tests" / "golden" / "manifest.format1.json").read_text(encoding="utf-8"))
    assert listed == list(golden["identity"])
    assert all(f"`{pooling}`" in PAGE for pooling in fingerprint.POOLINGS)


def test_the_golden_vector() -> None:
    """The id that the page gives for the golden manifest is the digest of that manifest's identity."""
    golden = json.loads((ROOT / "tests" / "golden" / "manifest.format1.json").read_text(encoding="utf-8"))
    text = json.dumps(golden["identity"], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(text.encode("ascii")).hexdigest() in PAGE
