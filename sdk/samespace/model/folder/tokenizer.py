"""The tokenizer of a model folder: read once, held against what sentence-transformers reads there, and written whole.

Two files say what a tokenizer does: tokenizer.json, and tokenizer_config.json, whose class and options transformers
builds a tokenizer from. Where they give other ids, options take effect as transformers lets them; any other
contradiction is refused with both sides, because training on one and serving the other is another encoder.

What it leaves to others: the artifact's limits on a tokenizer (`artifact.tokenizer_check`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from ...artifact.fingerprint import canonical_json
from ...errors import ModelUnsupported
from ..hub import read_json
from ..quiet import quiet
from .tokenizer_options import lower_first, tokenizer_options
from .tokenizer_parts import differing_controls, first_difference, random_step
from .vocabulary import OLD_VOCABULARY, require_words

HARD_TEXTS: Final = (
    "The encoder maps a text to a vector.",
    "MIXED case, ALL CAPS, cAmElCaSe, getHTTPResponseCode",
    "two  spaces,   three, and\ttabs\nnewlines\r\nhere",
    "  spaces before and after  ",
    "naïve café ÀÉÎ Zürich, e\u0301 a\u0300 A\u030a in two code points",
    "ﬁ ligature ½ ² Ⅳ ＦＵＬＬ ｗｉｄｔｈ",
    "如何重置我的密码？パスワードをリセット。비밀번호 \u1112\u1161\u11ab",
    "Как восстановить доступ? Πώς; كيف إعادة؟ मैं कैसे करूं? ฉันจะรีเซ็ต",
    "🙂 👩\u200d👩\u200d👧 🇺🇳 \u200bzero width \u00a0no-break \u00adsoft",
    "don't it's we're I'm he'd you'll can't",
    "3.14159 -17 1e-9 0xFF 12/31/1999 1,234,567",
    "for (int i = 0; i < n; ++i) { x[i] += y; } // a/b?c=d&e=%20f#g",
    "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <pad> <mask> <unk> <bos> <eos> <|endoftext|> <|im_start|> in a text",
    "word[SEP]word</s>word<pad>word <mask>, [MASK].",
    "Antidisestablishmentarianism",
    "a",
    "?",
)
"""Texts that tell tokenizers apart: cases, accents, NFC and NFD, spaces, scripts, special tokens in a text."""

_OPTIONS: Final = frozenset({
    "do_lower_case", "lowercase", "strip_accents", "tokenize_chinese_chars", "add_prefix_space", "trim_offsets",
    "add_bos_token", "add_eos_token", "split_special_tokens", "keep_accents", "remove_space", "legacy",
    "added_tokens_decoder", "additional_special_tokens", "extra_special_tokens", "unk_token", "pad_token", "bos_token",
    "eos_token", "sep_token", "cls_token", "mask_token",
})  # fmt: skip
"""Keys of tokenizer_config.json that transformers lets change ids. Once applied they are in tokenizer.json."""
_JSON: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json")
_AS_IT_IS: Final = "PreTrainedTokenizerFast"
"""The one class of transformers that takes tokenizer.json by its word; others are built anew from the vocabulary."""
_ANY_PAIR: Final = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
_SHOWN_IDS: Final = 12
_MOST_SPECIAL: Final = 64


def load_tokenizer(root: Path, source: str, settings: Mapping[str, Any] | None = None) -> Tokenizer:
    """The tokenizer of `read_tokenizer`."""
    return read_tokenizer(root, source, settings).tokenizer


@dataclass(frozen=True, slots=True)
class ReadTokenizer:
    """A tokenizer as it was read.

    Attributes:
        inputs: what sentence-transformers hands to the model for a short text, by the names of the model's inputs.
        advice: what the user should know of it; "" for nothing.
    """

    tokenizer: Tokenizer
    inputs: Mapping[str, list[int]]
    advice: str


def read_tokenizer(root: Path, source: str, settings: Mapping[str, Any] | None = None) -> ReadTokenizer:
    """The tokenizer of the folder *root*, with the ids that sentence-transformers gives; no truncation, no padding.

    Args:
        source: the model's name, for errors.
        settings: sentence-transformers' own: `do_lower_case`, and what it hands to the tokenizer.

    Raises:
        ModelUnsupported: it cannot be read, knows no word, gives other ids each time, or tokenizer.json and
            tokenizer_config.json contradict each other.
    """
    own, theirs, options = _both(root, source, settings or {})
    for tokenizer in filter(None, (own, theirs.backend_tokenizer)):
        if step := random_step(tokenizer):
            raise ModelUnsupported(
                model=source,
                reason=f"its tokenizer gives a text other ids each time ({step})",
                remedy="set it to null in a copy of tokenizer.json",
            )
    agreed = _agreed(root, source, own, theirs, explained=bool(options))
    require_words(agreed, root, source)
    controls = differing_controls(agreed, theirs.backend_tokenizer)
    advice = (
        f"Texts with the control character {', '.join(controls)} have other ids by tokenizer.json, which is used, than "
        f"by {type(theirs).__name__}, which sentence-transformers builds."
    )
    return ReadTokenizer(agreed, dict(theirs(HARD_TEXTS[0])), advice if controls else "")


def _both(root: Path, source: str, settings: Mapping[str, Any]) -> tuple[Tokenizer | None, Any, Mapping[str, Any]]:
    """tokenizer.json by its word, transformers' reading of the folder, and the options that were handed to it."""
    _require_no_code(root, source)
    for name in _JSON:
        if (root / name).is_file():
            read_json(root / name, source)  # others read it: a key that it has twice is refused
    lower = bool(settings.get("do_lower_case"))
    options = tokenizer_options(settings, source)
    return _own(root, source, lower=lower), _theirs(root, source, options, lower=lower), options


def _agreed(root: Path, source: str, own: Tokenizer | None, theirs: Any, *, explained: bool) -> Tokenizer:
    """The one tokenizer of both readings; *explained*: options of sentence-transformers make the difference."""
    if own is None:
        return _plain(theirs.backend_tokenizer)
    texts = [*HARD_TEXTS, *_with_special_tokens(own, theirs)]
    wanted = _their_ids(theirs, texts, root, source)
    if not (difference := _difference(own, theirs, texts, wanted)):
        return own
    applied = Tokenizer.from_str(theirs.backend_tokenizer.to_str())
    if _first_difference(ids_of(_plain(applied), texts), wanted) is None and (
        explained or _options_explain(root, own, texts)
    ):
        return applied
    raise ModelUnsupported(
        model=source,
        reason=f"tokenizer.json and tokenizer_config.json contradict each other: {difference}, which "
        "sentence-transformers builds from its vocabulary",
        remedy=_way_to_keep(root, source)
        + "to keep the others, save the tokenizer again with transformers: AutoTokenizer.from_pretrained(SOURCE)"
        ".save_pretrained(COPY)",
    )


def _way_to_keep(root: Path, source: str) -> str:
    """How to have transformers take tokenizer.json by its word; it never does for some model types (Qwen 2)."""
    path = root / "tokenizer_config.json"
    if path.exists() and read_json(path, source).get("tokenizer_class") == _AS_IT_IS:
        return f"it has {_AS_IT_IS} already, which transformers passes over for its model type; "
    return f'to keep the file\'s ids, set "tokenizer_class": "{_AS_IT_IS}" in a copy of tokenizer_config.json; '


def _difference(own: Tokenizer, theirs: Any, texts: Sequence[str], wanted: Sequence[Sequence[int]]) -> str:
    """How tokenizer.json and transformers' tokenizer differ, by a text or by a part of theirs; "" for not at all."""
    name, found = type(theirs).__name__, ids_of(own, texts)
    if (place := _first_difference(found, wanted)) is not None:
        return f"{texts[place]!r} has the ids {_shown(found[place])} by the file, and {_shown(wanted[place])} by {name}"
    if (part := first_difference(own, theirs.backend_tokenizer)) is not None:
        return f"{part[0]} is {part[1]} by the file, and {part[2]} by {name}"
    return ""


def _require_no_code(root: Path, source: str) -> None:
    """Refuse a tokenizer that its author wrote in code: that may put a token at the end, say."""
    path = root / "tokenizer_config.json"
    if path.exists() and (code := read_json(path, source).get("auto_map")):
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer is code of its own (tokenizer_config.json has auto_map {code!r}), beside one that "
            "transformers has; whether the two give the same ids cannot be seen without running it",
            remedy="compare the two once where you trust the code, and take auto_map out of a copy of the file",
        )


def canonical_tokenizer(tokenizer: Tokenizer, *, pairs: bool = False) -> bytes:
    """The bytes of the artifact's tokenizer.json: one canonical form, so that equal tokenizers have equal digests.

    Args:
        pairs: keep how two texts are joined, which a reranker needs.
    """
    value = json.loads(tokenizer.to_str())
    value["truncation"] = value["padding"] = None
    # What cannot change the ids of a text: turning ids back into text, and how two texts would be joined.
    # Libraries rewrite both when they save a tokenizer.
    value["decoder"] = None
    for step in post_processors(value.get("post_processor")):
        if step.get("type") == "TemplateProcessing" and not pairs:
            step["pair"] = _ANY_PAIR
    return canonical_json(value)


def write_tokenizer(root: Path, tokenizer: Tokenizer, source: str, inputs: Sequence[str] = ()) -> None:
    """Put *tokenizer* into the model folder *root*, so that every library reads it as it is, and read it back.

    Args:
        inputs: names of the model's inputs, which transformers' classes know and its plain class does not.

    Raises:
        ModelUnsupported: what is read back gives other ids.
    """
    tokenizer.save(str(root / "tokenizer.json"))
    path = root / "tokenizer_config.json"
    settings: dict[str, Any] = read_json(path, source) if path.exists() else {}
    keep = {key: value for key, value in settings.items() if key not in _OPTIONS or _named_token(value, tokenizer)}
    said = {"tokenizer_class": _AS_IT_IS} | ({"model_input_names": list(inputs)} if inputs else {})
    path.write_text(json.dumps(keep | said, indent=2) + "\n", encoding="utf-8")
    for name in OLD_VOCABULARY:
        (root / name).unlink(missing_ok=True)
    require_same_ids(root, tokenizer, source)


def require_same_ids(root: Path, wanted: Tokenizer, source: str) -> None:
    """Read the tokenizer of the folder *root* back, as transformers does and as its file is, and compare ids.

    Raises:
        ModelUnsupported: a text has other ids.
    """
    theirs = _theirs(root, source, {}, lower=False)
    own = _own(root, source, lower=False)
    texts = [*HARD_TEXTS, *_with_special_tokens(wanted, theirs)]
    read_back = _their_ids(theirs, texts, root, source)
    different = _difference(wanted, theirs, texts, read_back)
    if not different and own is None:
        different = "there is no tokenizer.json"
    elif not different and own is not None and (part := first_difference(wanted, own)) is not None:
        different = f"{part[0]} is {part[1]}, and {part[2]} in the file"
    if different:
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer cannot be kept in the folder that was written: {different}",
            remedy="please report the tokenizer",
        )


def require_writable(tokenizer: Tokenizer, root: Path, source: str) -> None:
    """What `write_tokenizer` would find out after a training, before it: *root* is the folder that was read."""
    with tempfile.TemporaryDirectory(prefix="samespace-tokenizer-") as scratch:
        _copy_settings(root, Path(scratch), frozenset())
        write_tokenizer(Path(scratch), tokenizer, source)


def ids_of(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, special tokens included."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def _own(root: Path, source: str, *, lower: bool) -> Tokenizer | None:
    """tokenizer.json by its word; None where there is none."""
    path = root / "tokenizer.json"
    if not path.exists():
        return None
    try:
        tokenizer = _plain(Tokenizer.from_file(str(path)))
    except Exception as error:  # the library raises nothing narrower
        raise ModelUnsupported(
            model=source, reason=f"tokenizer.json cannot be read: {error}", remedy="save the tokenizer again"
        ) from error
    if lower:
        lower_first(tokenizer)
    return tokenizer


def _theirs(root: Path, source: str, options: Mapping[str, Any], *, lower: bool) -> Any:
    """transformers' tokenizer of the folder, set up as sentence-transformers does."""
    from transformers import AutoTokenizer

    try:
        with quiet("transformers"):
            loaded = AutoTokenizer.from_pretrained(root, **{**options, "trust_remote_code": False})
    except Exception as error:  # by tokenizer it is ValueError, ImportError, OSError, KeyError or Rust's own
        raise ModelUnsupported(model=source, **_why_unread(root, error)) from error
    if not getattr(loaded, "is_fast", False):
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer {type(loaded).__name__} has no fast form",
            remedy="convert it to a tokenizer.json",
        )
    _plain(loaded.backend_tokenizer)
    if lower:
        lower_first(loaded.backend_tokenizer)
    return loaded


def _their_ids(theirs: Any, texts: Sequence[str], root: Path, source: str) -> list[list[int]]:
    try:
        with quiet("transformers"):
            ids: list[list[int]] = theirs(list(texts))["input_ids"]
    except Exception as error:  # Rust's own
        raise ModelUnsupported(model=source, **_why_unread(root, error)) from error
    return ids


def _why_unread(root: Path, error: Exception) -> dict[str, str]:
    names = sorted(path.name for path in root.glob("*.model"))
    if names and not (root / "tokenizer.json").exists():
        if find_spec("sentencepiece") is None:
            return {
                "reason": f"has its tokenizer as {names[0]} alone, and the package sentencepiece is not installed",
                "remedy": "pip install 'samespace[train]'",
            }
        return {
            "reason": f"has its tokenizer as {names[0]} alone, which cannot be converted",
            "remedy": "the file is damaged, or of another kind of tokenizer: save a tokenizer.json beside it",
        }
    return {
        "reason": f"transformers, and so sentence-transformers, cannot read its tokenizer: {_line(error)}",
        "remedy": f'where tokenizer.json is right, set "tokenizer_class": "{_AS_IT_IS}" in tokenizer_config.json',
    }


def _options_explain(root: Path, own: Tokenizer, texts: Sequence[str]) -> bool:
    """Whether transformers reads tokenizer.json as it is once the options of tokenizer_config.json are away."""
    with tempfile.TemporaryDirectory(prefix="samespace-tokenizer-") as scratch:
        place = Path(scratch)
        if not _copy_settings(root, place, _OPTIONS):
            return False
        own.save(str(place / "tokenizer.json"))
        try:
            bare = _theirs(place, str(root), {}, lower=False)
            return not _difference(own, bare, texts, _their_ids(bare, texts, place, str(root)))
        except ModelUnsupported:
            return False


def _copy_settings(root: Path, target: Path, without: frozenset[str]) -> bool:
    """Copy what chooses transformers' class; whether an option in *without* was left out."""
    left_out = False
    for name in ("config.json", "tokenizer_config.json"):
        if (root / name).exists():
            value = read_json(root / name, str(root))
            if name == "tokenizer_config.json":
                left_out = not without.isdisjoint(value)
                value = {key: each for key, each in value.items() if key not in without}
            (target / name).write_text(json.dumps(value), encoding="utf-8")
    return left_out


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _with_special_tokens(own: Tokenizer, theirs: Any) -> list[str]:
    """Each special token of either side inside a text, and at its ends."""
    tokens = [*(token.content for token in own.get_added_tokens_decoder().values()), *theirs.get_added_vocab()]
    return [f"a {token} b{token}" for token in list(dict.fromkeys(tokens))[:_MOST_SPECIAL]]


def _first_difference(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]]) -> int | None:
    if len(one) != len(other):
        return 0
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=True)) if list(pair[0]) != list(pair[1])), None
    )


def _named_token(value: Any, tokenizer: Tokenizer) -> bool:
    """Whether a setting names a token that the tokenizer has, such as the padding token."""
    token = value.get("content") if isinstance(value, Mapping) else value
    return isinstance(token, str) and tokenizer.token_to_id(token) is not None


def _shown(ids: Sequence[int]) -> str:
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return f"{list(ids[:_SHOWN_IDS])}{more}"


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]


def post_processors(step: Any) -> Iterator[dict[str, Any]]:
    """The steps of a post-processor, whatever sequences they stand in."""
    if isinstance(step, dict):
        yield step
        for inner in step.get("processors", ()):
            yield from post_processors(inner)
