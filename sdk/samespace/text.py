"""How a text becomes model inputs: prompt, tokens, windows. The one text path of samespace.

Training, export, evaluation and the server all call `TextEncoder`, so a text cannot be prepared in two
ways. A text within the token limit gives exactly the ids that the checkpoint's own tokenizer gives for
prompt + text. A longer one is never cut: it becomes overlapping windows, each with the prompt and the
special tokens around it, and the answer says how many. (Slices, which are texts of their own: `slices`.)

What it leaves to others: running the windows (`runtime`), turning window vectors into one (`pool_windows`
here, called by whoever ran them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from .errors import ManifestInvalid, RequestInvalid
from .vectors import Float32, normalise

Role = Literal["query", "passage"]
LongTexts = Literal["pool", "windows", "slices", "reject"]
Int64 = npt.NDArray[np.int64]

ROLES: Final[tuple[Role, Role]] = ("query", "passage")
UNKNOWN_TOKENS: Final = ("[UNK]", "<unk>", "<UNK>")
_OBEYED: Final = frozenset(
    chr(code)
    for codes in (range(0x20), range(0x7F, 0xA0), range(0x200E, 0x2010), range(0x2028, 0x202F), range(0x2066, 0x206A))
    for code in codes
    if chr(code) not in "\n\t"
)
LONG_TEXTS: Final[tuple[LongTexts, ...]] = ("pool", "windows", "slices", "reject")
PROMPT_MASK: Final = 2
"""In a mask: a token of the prompt, attended to and left out of pooling; 1 stands for any other token, 0 for none."""
WINDOW_MEAN: Final = "token_weighted_mean"
BEST_WINDOW: Final = "max"
"""How windows of a text become one row: an encoder's vectors by their mean, a reranker's scores by the best."""
BY_WINDOW: Final[frozenset[str]] = frozenset({"windows", "slices"})
"""With these an answer has one row a window, not one a text."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything between a text and the model's inputs, and between window vectors and one vector.

    Attributes:
        prompts: what is put in front of a text, by role; "" for none.
        token_limit: the most tokens a model input may have, special tokens and prompt included.
        window_overlap: tokens that neighbouring windows share at least.
        combine: how window vectors become one: "token_weighted_mean"; "max" of the scores of a reranker alone.
        pool_prompt: whether the prompt's tokens are pooled with the others, as in most encoders.
    """

    prompts: Mapping[str, str]
    token_limit: int
    window_overlap: int
    combine: str = WINDOW_MEAN
    pool_prompt: bool = True

    def __post_init__(self) -> None:
        if set(self.prompts) != set(ROLES):
            raise RequestInvalid(field="recipe.prompts", reason=f"expected one each for {ROLES}, got {self.prompts}")
        for role, prompt in self.prompts.items():
            if not isinstance(prompt, str):
                raise RequestInvalid(field="recipe.prompts", reason=f"{role}: a prompt has to be a string")
            if (place := lone_surrogate(prompt)) is not None:
                raise RequestInvalid(
                    field="recipe.prompts", reason=f"{role}: character {place} is a lone surrogate, not text"
                )
        if not 4 <= self.token_limit <= 1_000_000:
            raise RequestInvalid(field="recipe.token_limit", reason=f"{self.token_limit}; expected 4 to 1000000")
        if not 0 <= self.window_overlap < self.token_limit:
            raise RequestInvalid(
                field="recipe.window_overlap",
                reason=f"{self.window_overlap}; expected 0 to below the token limit {self.token_limit}",
            )
        if self.combine not in (WINDOW_MEAN, BEST_WINDOW):
            raise RequestInvalid(
                field="recipe.combine", reason=f"{self.combine!r}; this samespace knows {WINDOW_MEAN!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The plain form that goes into the manifest and the space id."""
        return {
            "prompts": {role: self.prompts[role] for role in ROLES},
            "token_limit": self.token_limit,
            "window_overlap": self.window_overlap,
            "combine": self.combine,
            **({} if self.pool_prompt else {"pool_prompt": False}),  # a key that came later: without it ids stay
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any], combine: str = WINDOW_MEAN) -> Recipe:
        """The inverse of `to_dict`; raises `RequestInvalid` for what does not fit, also for another *combine*."""
        expected = {"prompts", "token_limit", "window_overlap", "combine"}
        if set(data) - {"pool_prompt"} != expected:
            raise RequestInvalid(field="recipe", reason=f"expected keys {sorted(expected)}, got {sorted(data)}")
        if data.get("pool_prompt", False) is not False:
            raise RequestInvalid(field="recipe.pool_prompt", reason=f"expected false, got {data['pool_prompt']!r}")
        for key in ("token_limit", "window_overlap"):
            if type(data[key]) is not int:
                raise RequestInvalid(field=f"recipe.{key}", reason=f"expected an integer, got {data[key]!r}")
        if data["combine"] != combine:
            raise RequestInvalid(field="recipe.combine", reason=f"{data['combine']!r}; expected {combine!r}")
        if not isinstance(data["prompts"], Mapping):
            raise RequestInvalid(field="recipe.prompts", reason=f"expected a table, got {data['prompts']!r}")
        return Recipe(
            dict(data["prompts"]), data["token_limit"], data["window_overlap"], data["combine"],
            pool_prompt="pool_prompt" not in data,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """One model input.

    Attributes:
        ids: token ids, special tokens and prompt included.
        content: how many of them are the text's own: the weight of this window.
        start, end: the characters of the text that it covers.
        unpooled: how many of the first tokens pooling leaves out: those of the prompt, for encoders that do so.
    """

    ids: tuple[int, ...]
    content: int
    start: int
    end: int
    unpooled: int = 0


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text ready for the model.

    Attributes:
        tokens: tokens of the whole text in one piece, special tokens and prompt included.
        windows: at least one; more than one exactly when `tokens` is above the token limit.
    """

    tokens: int
    windows: tuple[Window, ...]


class Digest(Protocol):
    """One of hashlib's."""

    def update(self, data: bytes, /) -> None: ...


def digest_texts(digest: Digest, texts: Iterable[str]) -> None:
    """Add texts to a digest, each with its length, so that no two lists of texts have one digest."""
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)


def check_role(role: str) -> None:
    """Raise `RequestInvalid` for a word that is no role."""
    if role not in ROLES:
        raise RequestInvalid(field="role", reason=f"{role!r}; expected one of {', '.join(ROLES)}")


def lone_surrogate(text: str) -> int | None:
    """Where *text* has half of a UTF-16 pair, which is no character and which no tokenizer takes; None if nowhere."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None


def check_text(text: object, index: int) -> str:
    """*text*, the one at *index*; raises `RequestInvalid` where it is no string that UTF-8 can carry."""
    if not isinstance(text, str):
        raise RequestInvalid(field=f"texts[{index}]", reason=f"expected a string, got {type(text).__name__}")
    if (place := lone_surrogate(text)) is not None:
        raise RequestInvalid(field=f"texts[{index}]", reason=f"character {place} is a lone surrogate, not text")
    return text


def printable(text: str) -> str:
    r"""*text* with every control character but line feed and tab as an escape such as \u001b: terminals obey them.

    Also those that turn the direction of writing round, which make a text look like another one.
    """
    return "".join(f"\\u{ord(letter):04x}" if letter in _OBEYED else letter for letter in text)


def shortened(text: str, most: int) -> str:
    """*text*, or its beginning and an ellipsis: at most *most* characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def window_starts(content: int, size: int, overlap: int) -> list[int]:
    """Where windows of *size* tokens begin, so that they cover *content* tokens and neighbours share *overlap*.

    The last window is as short as it comes out, and always has more tokens than the overlap. Weighted by its
    tokens it does no harm, and full windows spread evenly instead cost more tokens and scored no better.
    """
    step = size - overlap
    return [0, *range(step, content - overlap, step)] if content > size else [0]


class TextEncoder:
    """The text path of one encoder: a tokenizer and a recipe. Thread-safe; holds no text.

    Attributes:
        recipe: as it was given.
        unpooled: how many tokens at the front of an input pooling leaves out, by role.
    """

    def __init__(self, tokenizer: Tokenizer, recipe: Recipe) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.recipe = recipe
        self._prefix, self._suffix = _special_tokens(tokenizer)
        for role in ROLES:
            overhead = len(self._tokenizer.encode(recipe.prompts[role]).ids)
            if overhead + recipe.window_overlap >= recipe.token_limit:
                raise RequestInvalid(
                    field="recipe",
                    reason=f"the {role} prompt and the special tokens take {overhead} tokens and the overlap "
                    f"{recipe.window_overlap}: nothing is left of the token limit {recipe.token_limit}",
                )
        self.unpooled: Mapping[Role, int] = {
            role: 0 if recipe.pool_prompt else _prompt_tokens(tokenizer, recipe.prompts[role]) for role in ROLES
        }

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself."""
        return self._tokenizer

    def as_input(self, text: str) -> str:
        """What is tokenised to see how the model takes *text*: itself."""
        return text

    def tokenize(self, texts: Sequence[str], role: Role) -> list[TokenizedText]:
        """Model inputs for each text, in order.

        Raises:
            RequestInvalid: unknown role, an item that is not a string that UTF-8 can carry, or one without any
                token (empty, with a tokenizer that adds no special tokens).
        """
        check_role(role)
        prompt = self.recipe.prompts[role]
        prompted = []
        for index, text in enumerate(texts):
            prompted.append(prompt + check_text(text, index))
        encodings = self._tokenizer.encode_batch(prompted)
        for index, encoding in enumerate(encodings):
            if not encoding.ids:  # only without special tokens: decoders' tokenizers often have none
                raise RequestInvalid(field=f"texts[{index}]", reason="has no tokens, so it has no vector")
        unpooled = self.unpooled[role]
        return [
            # A text without a token of its own beside the prompt's is its last one: a vector needs something.
            self._windows(encoding, len(prompt), len(text), min(unpooled, len(encoding.ids) - 1))
            for encoding, text in zip(encodings, texts, strict=True)
        ]

    def count_pieces(self, words: Sequence[str]) -> list[tuple[int, bool]]:
        """Tokens of each word by itself, without prompt and special tokens, and whether the vocabulary lacks one."""
        unknown = {self._tokenizer.token_to_id(token) for token in UNKNOWN_TOKENS} - {None}
        # The space is what stands before a word in a text; most vocabularies tell the two apart.
        encodings = self._tokenizer.encode_batch([f" {word}" for word in words], add_special_tokens=False)
        return [(len(encoding.ids), not unknown.isdisjoint(encoding.ids)) for encoding in encodings]

    def _windows(self, encoding: Any, prompt_chars: int, text_chars: int, unpooled: int) -> TokenizedText:
        ids: list[int] = encoding.ids
        limit = self.recipe.token_limit
        head, tail = len(self._prefix), len(ids) - len(self._suffix)
        if len(ids) <= limit:
            # The weight of a lone window does not matter; the span is the whole text.
            return TokenizedText(len(ids), (Window(tuple(ids), max(1, tail - head), 0, text_chars, unpooled),))
        offsets: list[tuple[int, int]] = encoding.offsets
        first = head
        while first < tail and offsets[first][1] <= prompt_chars:
            first += 1
        before = tuple(ids[:first])  # special tokens and prompt, as in one piece
        size = limit - len(before) - len(self._suffix)
        starts = window_starts(tail - first, size, min(self.recipe.window_overlap, size - 1))
        windows = []
        for start in starts:
            low, high = first + start, min(first + start + size, tail)
            windows.append(
                Window(
                    ids=(*before, *ids[low:high], *self._suffix),
                    content=high - low,
                    # What the tokenizer drops at either end (white space) belongs to the outer windows.
                    start=0 if low == first else max(0, offsets[low][0] - prompt_chars),
                    end=text_chars if high == tail else max(0, offsets[high - 1][1] - prompt_chars),
                    unpooled=unpooled,
                )
            )
        return TokenizedText(len(ids), tuple(windows))


def _special_tokens(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that the tokenizer puts before and after every text."""
    encoding = tokenizer.encode("a")
    special = encoding.special_tokens_mask
    own = [index for index, flag in enumerate(special) if not flag]
    if not own:
        raise ManifestInvalid(file="tokenizer.json", reason="the letter 'a' has no tokens of its own")
    return tuple(encoding.ids[: own[0]]), tuple(encoding.ids[own[-1] + 1 :])


def _prompt_tokens(tokenizer: Tokenizer, prompt: str) -> int:
    """How many tokens of a text with *prompt* are the prompt's and what stands before it.

    As sentence-transformers counts them: those of the prompt alone, without a special token at its end.
    """
    ids = tokenizer.encode(prompt).ids if prompt else []
    special = {place for place, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    return len(ids) - (ids[-1] in special) if ids else 0


def pad(windows: Sequence[Window]) -> tuple[Int64, Int64]:
    """Model inputs of one batch.

    Returns:
        ids and mask, each (windows, longest), int64, zero-padded on the right. The pad id does not
        matter: the mask hides it, and the parity gate measures that it does. The mask is 1, and `PROMPT_MASK`
        for a window's first tokens that are not pooled.
    """
    longest = max(len(window.ids) for window in windows)
    ids = np.zeros((len(windows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
        mask[row, : window.unpooled] = PROMPT_MASK
    return ids, mask


def pool_windows(vectors: Float32, weights: Sequence[int], combine: str = WINDOW_MEAN) -> Float32:
    """One unit vector for a text from its windows' vectors: their token-weighted mean, normalised.

    Args:
        vectors: (windows, dim), float32, unit rows.
        weights: content tokens of each window.
        combine: of the recipe; with `BEST_WINDOW` rows are scores, (windows, 1), and the highest is given.

    Returns:
        (dim,), float32, unit length.
    """
    if len(weights) == 1:
        return np.asarray(vectors[0], dtype=np.float32)
    if combine == BEST_WINDOW:
        return np.asarray(vectors.max(axis=0), dtype=np.float32)
    mean = np.average(vectors.astype(np.float64), axis=0, weights=np.asarray(weights, dtype=np.float64))
    return np.asarray(normalise(mean[None, :])[0], dtype=np.float32)
