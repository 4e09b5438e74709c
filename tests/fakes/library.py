"""Documents for tests of `adapt`: pages with headings, links and sentences, each about words of its own."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

LETTERS = "abcdefghijklmnop"


def sentence(random: Random, topic: list[str]) -> str:
    """Eight words, half of them of the topic."""
    others = ["".join(random.choices(LETTERS, k=4)) for _ in range(4)]
    mixed = [*random.sample(topic, 4), *others]
    random.shuffle(mixed)
    return " ".join(mixed).capitalize() + "."


def pages(folder: Path, count: int, *, seed: int = 1) -> Path:
    """*count* pages of Markdown with two sections each."""
    random = Random(seed)
    folder.mkdir(parents=True)
    for page in range(count):
        topic = ["".join(random.choices(LETTERS, k=5)) for _ in range(8)]
        parts = [f"# {' '.join(topic[:3])} page"]
        for _ in range(2):
            parts.append(f"## How {' '.join(random.sample(topic, 3))}?")
            parts.append(" ".join(sentence(random, topic) for _ in range(4)))
        parts.append(f"See [the {' '.join(topic[2:4])} page](page{(page + 1) % count}.md).")
        (folder / f"page{page}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return folder


def rows(file: Path, count: int, *, titled: bool = False, sentences: int = 4, seed: int = 1) -> Path:
    """*count* rows of JSON lines, without structure unless *titled*."""
    random = Random(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        for row in range(count):
            topic = ["".join(random.choices(LETTERS, k=5)) for _ in range(8)]
            text = " ".join(sentence(random, topic) for _ in range(sentences))
            entry = {"_id": f"d{row}", "title": " ".join(topic[:3]) if titled else "", "text": text}
            stream.write(json.dumps(entry) + "\n")
    return file
