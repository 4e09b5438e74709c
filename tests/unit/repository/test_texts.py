"""What a user reads is kept as a whole: a change of wording is a diff of `tests/golden/help.txt` or `errors.txt`."""

from __future__ import annotations

import pytest

from golden.texts import FOLDER, TEXTS


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_words_are_as_kept(name: str) -> None:
    """After `make golden`, read the diff as a user would."""
    kept = (FOLDER / name).read_text(encoding="utf-8")
    assert TEXTS[name]() == kept, f"the words changed: run `make golden` and read the diff of tests/golden/{name}"


def test_errors_say_what_to_do_next_in_plain_words() -> None:
    """Words that confused readers do not come back."""
    texts = "\n".join(text() for text in TEXTS.values()).lower()
    for phrase in ("of no use", "telling nothing apart", "what is left", "who would wait", "which windows they are"):
        assert phrase not in texts
