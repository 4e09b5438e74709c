"""Prompt, cost, and the requests to an OpenAI-compatible server (`/chat/completions`).

A server that fails is asked again, with a pause. One that keeps failing ends the asking: what it has answered counts.

What it leaves to others: keeping answers (`answers`), which questions are any good (`round_trip`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...errors import ConfigInvalid, ServerUnavailable
from ...progress import Advance
from ...web import WebClient, WebOptions
from ..doctor.lengths import estimated_tokens
from .answers import Answers

EACH: Final = 2
"""Questions of a passage."""
KEY: Final = "OPENAI_API_KEY"
PROMPT: Final = (
    "Write {each} questions that somebody might type into a search box, and that the text below answers. They have not "
    "seen the text and do not know its words. Use the language of the text. One question a line, nothing else.\n\n"
    "Text:\n{text}"
)
_READ: Final = 2000  # characters of a passage
_ANSWER_TOKENS: Final = 60
_TRIES: Final = 3
_MAY_PASS: Final = frozenset({408, 429, 500, 502, 503, 504})
_MOST_BYTES: Final = 1 << 20
_MARK: Final = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s*")
_LONGEST: Final = 300


@dataclass
class Generator:
    """A language model behind *url*.

    Attributes:
        url: up to `/chat/completions`, such as http://localhost:11434/v1.
        key: of the API; "" for none.
    """

    url: str
    model: str = ""
    key: str = field(default="", repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def ask(self, passages: Sequence[str], answers: Answers, advance: Advance) -> str:
        """Ask about all *passages* that *answers* lacks; why it ended early, "" where it did not.

        Raises:
            ConfigInvalid: the URL, the key or the model is refused.
        """
        options = WebOptions(token=self.key, proxies=True, timeout_s=120)
        web = WebClient(self.url, options)
        try:
            for passage in passages:
                if answers.known(passage) is None:
                    answers.add(passage, questions_in(self._answer(web, passage)))
                advance(1)
        except ServerUnavailable as error:
            return str(error)
        finally:
            web.close()
        return ""

    def _answer(self, web: WebClient, passage: str) -> str:
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": prompt(passage)}],
            "max_tokens": 2 * _ANSWER_TOKENS,
            "temperature": 0.7,
        }
        body |= {"model": self.model} if self.model else {}
        for number in range(_TRIES):
            try:
                reply = web.ask("POST", "/chat/completions", body=body, most_bytes=_MOST_BYTES)
            except ServerUnavailable:
                if number == _TRIES - 1:
                    raise
                self.pause(2.0**number)
                continue
            if reply.status == 200:
                return _content(reply.body and _json(reply), web.address)
            if reply.status not in _MAY_PASS:
                raise ConfigInvalid(
                    key="generator",
                    reason=f"{web.address} answers {reply.status}: {reply.text()}; look at the URL, the model "
                    f"(--generator-model) and the key ({KEY})",
                )
            self.pause(2.0**number)
        raise ServerUnavailable(address=web.address, reason=f"answers {reply.status}, {_TRIES} times: {reply.text()}")


def prompt(passage: str) -> str:
    """What is sent for *passage*."""
    return PROMPT.format(each=EACH, text=passage[:_READ])


def cost(passages: Sequence[str], answers: Answers) -> str:
    """What asking will take, for people."""
    new = [passage for passage in passages if answers.known(passage) is None]
    tokens = sum(estimated_tokens(prompt(passage)) for passage in new)
    kept = f"; {len(passages) - len(new)} answers are kept from before" if len(new) < len(passages) else ""
    return (
        f"{len(new)} requests to the generator, about {tokens:,} tokens to read and {len(new) * _ANSWER_TOKENS:,} to "
        f"write{kept}"
    )


def questions_in(answer: str) -> list[str]:
    """The questions of an answer: its first lines, without numbers, bullets and quotes."""
    lines = (_MARK.sub("", line).strip().strip("\"“”'«»").strip() for line in answer.splitlines())
    found = dict.fromkeys(" ".join(line.split()) for line in lines if line and not line.endswith(":"))
    return [line for line in found if len(line) <= _LONGEST and len(line.split()) + len(line) // 8 >= 2][:EACH]


def _json(reply: Any) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None


def _content(said: Any, address: str) -> str:
    try:
        content = said["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        content = None
    if not isinstance(content, str):
        raise ServerUnavailable(address=address, reason="answers something other than a chat completion")
    return content
