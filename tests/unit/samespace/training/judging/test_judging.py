"""The blind comparison: its test, what is asked and kept, the form, and who may send to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from queue import Queue
from socket import socket
from threading import Thread
from time import sleep

import numpy as np
import pytest

httpx = pytest.importorskip("httpx", reason="needs the extra weaviate")
pytest.importorskip("torch", reason="needs the extra train")

from click.testing import CliRunner  # noqa: E402 - after the skip

from fakes.models.encoders import save_tiny_bert  # noqa: E402
from samespace.cli import cli  # noqa: E402
from samespace.errors import DataInvalid  # noqa: E402
from samespace.model.checkpoint import load_checkpoint  # noqa: E402
from samespace.training.judging.ballot import LEFT, NEITHER, RIGHT, Ballot, Matter  # noqa: E402
from samespace.training.judging.evidence import BETTER, UNDECIDED, WORSE, Evidence, bet  # noqa: E402
from samespace.training.judging.server import serve  # noqa: E402


def after(answers: list[int]) -> Evidence:
    found = Evidence()
    for answer in answers:
        found = found.after(answer)
    return found


def test_the_bet_is_the_mean_likelihood() -> None:
    """By numerical integration over all shares of preferences."""
    shares = (np.arange(200_000) + 0.5) / 200_000
    for wins, losses in ((0, 0), (3, 1), (10, 2), (7, 7), (0, 9)):
        likelihood = shares**wins * (1 - shares) ** losses / 0.5 ** (wins + losses)
        assert bet(wins, losses) == pytest.approx(float(likelihood.mean()), rel=1e-4)


def test_it_ends_when_it_is_sure() -> None:
    """Eight of eight are enough and seven are not; ties say nothing; what comes later does not undo it."""
    assert after([1] * 7).word == UNDECIDED
    assert (after([1] * 8).word, after([-1] * 8).word) == (BETTER, WORSE)
    assert after([1, 0] * 8).ties == 7
    decided = after([1] * 8 + [-1] * 50)
    assert (decided.wins, decided.losses) == (8, 0) and decided.p_value <= 0.05
    assert after([1, -1] * 100).word == UNDECIDED
    assert decided.sentence() == "Better than its base: 8 to 0 for the new encoder, 0 times neither (p = 0.035)."


def test_looking_after_every_answer_errs_in_one_of_twenty_at_most() -> None:
    """Without a difference, over 3,000 runs of 200 answers each; an ordinary sign test errs five times as often."""
    answers = np.where(np.random.default_rng(8).random((3000, 200)) < 0.5, 1, -1)
    assert float(np.mean([after(run.tolist()).decided for run in answers])) <= 0.05


def matters(count: int) -> list[Matter]:
    return [Matter(f"question {row}", (f"old {row}", "b"), (f"<new> {row}", "b")) for row in range(count)]


def prefer(ballot: Ballot, matter: Matter, *, new: bool) -> str:
    left, _ = ballot.sides(matter)
    return LEFT if (left == matter.new) == new else RIGHT


def test_sides_are_blind_and_stay(tmp_path: Path) -> None:
    """About half of the new lists are on the left, the same ones again; another seed has others."""
    about = {"base": "a", "new": "b"}
    one, again, other = (Ballot(about, matters(200), tmp_path / "none", seed) for seed in ("x", "x", "y"))
    left = [[ballot.sides(matter)[0] == matter.new for matter in ballot.matters] for ballot in (one, again, other)]
    assert left[0] == left[1] != left[2]
    assert 70 < sum(left[0]) < 130


def test_answers_are_kept_and_gone_on_with(tmp_path: Path) -> None:
    """After each; with their sides, whatever seed the next start brings; equal lists are not asked."""
    about, file = {"base": "a", "new": "b"}, tmp_path / "judged.json"
    ballot = Ballot(about, [*matters(12), Matter("same", ("a",), ("a",))], file, "x")
    assert ballot.equal == 1 and len(ballot.matters) == 12
    for turn in range(8):
        matter = ballot.next()
        assert matter is not None
        ballot.answer(matter.question, prefer(ballot, matter, new=turn != 3))
        ballot.answer(matter.question, prefer(ballot, matter, new=False))  # a second click
        ballot.answer("no question", LEFT)
        ballot.answer("question 11", "up")
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert len(kept["answers"]) == 8 and kept["verdict"]["wins"] == 7 and kept["verdict"]["losses"] == 1
    again = Ballot(about, matters(12), file, "another")
    assert again.evidence() == ballot.evidence() and again.next() == again.matters[8]
    with pytest.raises(DataInvalid, match="name another"):
        Ballot({"base": "a", "new": "c"}, matters(12), file)
    file.write_text("[]")
    with pytest.raises(DataInvalid, match="no file of answers"):
        Ballot(about, matters(12), file)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Ballot, str, Thread]]:
    ballot, address = Ballot({"base": "a", "new": "b"}, matters(20), tmp_path / "judged.json", "x"), Queue[str]()
    thread = Thread(target=serve, args=(ballot, 0, address.put), daemon=True)
    thread.start()
    yield ballot, address.get(timeout=30), thread


def field(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', page)
    assert found
    return found.group(1)


def test_a_person_answers_until_it_is_known(running: tuple[Ballot, str, Thread]) -> None:
    """Eight clicks for the new list end it, and the server with it; nothing in the page says whose list is where."""
    ballot, address, thread = running
    for _ in range(8):
        page = httpx.get(address)
        assert page.status_code == 200 and "&lt;new&gt;" in page.text and "<new>" not in page.text
        assert "script" not in page.text and page.headers["content-security-policy"].startswith("default-src 'none'")
        matter = ballot.next()
        assert matter is not None and field(page.text, "question") == matter.question
        left = page.text.partition("Left</h2>")[2].partition("Right</h2>")[0]
        chosen = LEFT if "&lt;new&gt;" in left else RIGHT
        sent = {"token": field(page.text, "token"), "question": matter.question, "choice": chosen}
        assert httpx.post(address, data=sent).status_code == 303
    assert "Better than its base: 8 to 0" in httpx.get(address).text
    thread.join(timeout=30)
    assert not thread.is_alive() and ballot.evidence().word == BETTER


def test_nobody_else_can_answer(running: tuple[Ballot, str, Thread]) -> None:
    """Another name for this machine, no token, a wrong one, a long body: refused, and nothing is counted."""
    ballot, address, _ = running
    sent = {"question": "question 0", "choice": NEITHER}
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
    assert httpx.post(address, data=sent).status_code == 403
    assert httpx.post(address, data={**sent, "token": "ü"}).status_code == 403
    assert httpx.post(address, content=b"x" * 70_000).status_code == 413
    assert httpx.get(f"{address}favicon.ico").status_code == 404
    assert ballot.answers == {}


def click_through(port: int, choice: str) -> None:
    """What a person does who always answers the same."""
    address = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        try:
            page = httpx.get(address).text
        except httpx.HTTPError:
            sleep(0.1)
            continue
        if 'name="question"' not in page:
            return
        question = unescape(field(page, "question"))
        httpx.post(address, data={"token": field(page, "token"), "question": question, "choice": choice})


def test_the_command_asks_about_two_encoders(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """From documents and a log to a file that names both spaces; the lists are what each encoder ranks first."""
    other = save_tiny_bert(tmp_path / "other", seed=9)
    texts = [f"{word} {place} in the garden" for word in ("apple", "pear", "plum") for place in ("tree", "pie", "jam")]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (tmp_path / "log.txt").write_text("apple tree\npear & <pie>\nplum\n")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    person = Thread(target=click_through, args=(port, LEFT), daemon=True)
    person.start()
    found = CliRunner().invoke(cli, [
        "judge", str(tmp_path / "docs.jsonl"), "--queries", str(tmp_path / "log.txt"), "--base", str(tiny_checkpoint),
        "--new", str(other), "--answers", str(tmp_path / "judged.json"), "--port", str(port), "--first", "3",
    ])  # fmt: skip
    person.join(timeout=60)
    assert found.exit_code == 3, found.output
    assert "Undecided" in found.output
    kept = json.loads((tmp_path / "judged.json").read_text(encoding="utf-8"))
    spaces = [load_checkpoint(folder).identity.space_id() for folder in (tiny_checkpoint, other)]
    assert [kept["about"][name] for name in ("base", "new")] == spaces
    assert len(kept["answers"]) + kept["equal_lists"] == 3
