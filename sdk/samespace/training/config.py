"""The training configuration: a TOML file of flat keys, parsed once into a frozen object.

Every key is documented at `TrainingConfig`: meaning, unit, default, when to change it, what that costs. A key
that is not known, or a value of another type or range, is an error that names the key, the value and, where a
name is nearly right, the right one.

What it leaves to others: whether the base and the data can be used (`trainer`, before anything is trained).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigInvalid

PRECISIONS: Final = ("auto", "fp32", "bf16")
LEAKAGE: Final = ("none", "passages", "all")
_PATHS: Final = ("data", "out")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How an encoder is fine-tuned. The keys of the TOML file are these names.

    Attributes:
        data: folder of the retrieval set in the BEIR layout. Required. A relative path in the file is relative to
            the file; one given with `--set` is relative to the working directory.
        out: folder for the trained model. Required, here or as `--out`; must not exist.
        base: model folder or hub name to start from. Default: all-MiniLM-L6-v2, small and good. A larger base
            scores higher and costs in proportion, in training and for every text that is ever encoded.
        train_split: whose judgements are trained on. Default "train".
        held_out_splits: splits that training must not have seen; those that the set has are checked for leaks.
            Default ["dev", "test"].
        allow_leakage: "none" stops at any held-out text among the training texts. "passages" allows shared
            passages, which many public sets have, but no shared queries. "all" allows both: the score then says
            little about new texts. Default "none".
        dev_split: split that is scored before and after training. Default "": none. Costs encoding the whole
            corpus twice.
        seed: of everything random: order of the data, dropout. Default 1. The same seed on the same machine
            gives the same weights.
        epochs: times that each pair is seen, 1 or more. Default 1. More helps small sets until they are learned
            by heart: watch the dev score. Cost is in proportion.
        batch_size: pairs of one step; the others of the batch are the negatives. Default 64. Larger is a harder
            and usually better task, with fewer steps; memory does not grow, see mini_batch_size.
        mini_batch_size: texts that go through the model at once. Default 32. Changes memory and speed, not the
            gradient. Below batch_size the gradient is cached, which costs one more forward pass.
        learning_rate: highest rate of AdamW. Default 5e-5. Too high forgets what the base knew, too low learns
            nothing; try a factor of 3 either way.
        warmup: share of the steps in which the rate rises from 0, in [0, 1); it then falls to 0. Default 0.1.
        weight_decay: of AdamW, 0 or more. Default 0.01.
        dropout: share of activations that are left out at random in training, in [0, 1). Default 0: a few epochs over
            a trained base need none, and on CPUs it costs a third of the time. Raise to 0.1 for many epochs.
        temperature: what cosines are divided by before the softmax, above 0. Default 0.05. Lower looks harder at
            the nearest negatives; wrong negatives then hurt more.
        symmetric: also tell which query belongs to a passage. Default true. Costs nothing; turn it off where many
            queries share passages.
        query_max_tokens, passage_max_tokens: tokens of one text in training, special tokens and prompt included;
            0 for the base's own limit. Default 0. What lies beyond is cut: training, unlike encoding, sees only
            the beginning of a long text. Lower is faster; the run record says how many texts were cut.
        query_prompt, passage_prompt: put in front of texts, in training and ever after. Default "": none.
            Set them where the base's model card names prompts.
        precision: what the forward pass computes in: "fp32", "bf16", or "auto" for bf16 where the processor has it
            and fp32 elsewhere. Default "auto". bf16 is up to twice as fast; weights stay fp32.
    """

    data: Path
    out: Path
    base: str = "sentence-transformers/all-MiniLM-L6-v2"
    train_split: str = "train"
    held_out_splits: tuple[str, ...] = ("dev", "test")
    allow_leakage: str = "none"
    dev_split: str = ""
    seed: int = 1
    epochs: int = 1
    batch_size: int = 64
    mini_batch_size: int = 32
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.0
    temperature: float = 0.05
    symmetric: bool = True
    query_max_tokens: int = 0
    passage_max_tokens: int = 0
    query_prompt: str = ""
    passage_prompt: str = ""
    precision: str = "auto"

    def __post_init__(self) -> None:
        for key, low, high in _RANGES:
            value = getattr(self, key)
            if not low <= value <= high:
                raise ConfigInvalid(key=key, reason=f"{value!r}; expected {low:g} to {high:g}")
        for key in ("query_max_tokens", "passage_max_tokens"):
            if getattr(self, key) < 8 and getattr(self, key) != 0:
                raise ConfigInvalid(
                    key=key, reason=f"{getattr(self, key)}; expected 0 (the base's limit), or 8 or more"
                )
        for key, choices in (("precision", PRECISIONS), ("allow_leakage", LEAKAGE)):
            if getattr(self, key) not in choices:
                value, offered = getattr(self, key), ", ".join(choices)
                raise ConfigInvalid(key=key, reason=f"{value!r}; expected one of {offered}{_nearest(value, choices)}")
        if not self.train_split:
            raise ConfigInvalid(key="train_split", reason="is empty; expected the name of a split, such as 'train'")
        if self.train_split in (*self.held_out_splits, self.dev_split):
            raise ConfigInvalid(
                key="train_split", reason=f"{self.train_split!r} is held out, so it cannot be trained on"
            )

    def to_json(self) -> dict[str, Any]:
        """The plain form, for the run record."""
        plain = {key: getattr(self, key) for key in KEYS}
        return {
            key: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for key, value in plain.items()
        }


KEYS: Final = tuple(field.name for field in fields(TrainingConfig))
_TYPES: Final[Mapping[str, str]] = {field.name: str(field.type) for field in fields(TrainingConfig)}
_RANGES: Final[tuple[tuple[str, float, float], ...]] = (
    ("seed", 0, 2**31 - 1),
    ("epochs", 1, 1000),
    ("batch_size", 2, 65536),
    ("mini_batch_size", 1, 65536),
    ("learning_rate", 1e-9, 1),
    ("warmup", 0, 0.99),
    ("weight_decay", 0, 1),
    ("dropout", 0, 0.99),
    ("temperature", 0.001, 10),
)


def read_config(path: Path | str, overrides: Sequence[str] = (), out: Path | str | None = None) -> TrainingConfig:
    """Read a TOML file, then apply `KEY=VALUE` overrides, then *out*.

    Raises:
        ConfigInvalid: the file cannot be read, or a key or value is wrong.
    """
    file = Path(path)
    try:
        with file.open("rb") as source:
            values: dict[str, Any] = tomllib.load(source)
    except OSError as error:
        raise ConfigInvalid(key=str(file), reason=f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(key=str(file), reason=f"is not TOML: {error}") from error
    for key in _PATHS:
        if isinstance(values.get(key), str) and values[key]:
            values[key] = str(file.parent / Path(values[key]).expanduser())
    for override in overrides:
        key, value = parse_override(override)
        values[key] = value
    if out is not None:
        values["out"] = str(out)
    return make_config(values)


def parse_override(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` as key and value. The value is read as TOML; where it is none, it is a plain string."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigInvalid(key=text, reason="expected KEY=VALUE, for example epochs=2")
    _check_known(key)
    if _TYPES[key] in ("str", "Path") and not value.strip().startswith(('"', "'")):
        return key, value
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def make_config(values: Mapping[str, Any]) -> TrainingConfig:
    """A configuration from plain values, each checked for its type.

    Raises:
        ConfigInvalid: an unknown or missing key, or a value of the wrong type or range.
    """
    for key in values:
        _check_known(key)
    for key in _PATHS:
        if not values.get(key):
            where = "; name the folder, in the file or with --out" if key == "out" else "; name the folder of the set"
            raise ConfigInvalid(key=key, reason=f"is missing{where}")
    return TrainingConfig(**{key: _typed(key, value) for key, value in values.items()})


def _check_known(key: str) -> None:
    if key not in KEYS:
        raise ConfigInvalid(key=key, reason=f"no such key{_nearest(key, KEYS) or '; known: ' + ', '.join(KEYS)}")


def _nearest(name: object, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _typed(key: str, value: Any) -> Any:
    """*value* as the type that *key* has. Whole numbers pass as numbers; nothing else is converted."""
    kind = _TYPES[key]
    if kind == "Path" and isinstance(value, str | Path):
        return Path(value)
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "tuple[str, ...]" and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind in ("str", "int", "bool") and type(value).__name__ == kind:
        return value
    expected = {
        "str": "a string",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "Path": "a path",
    }
    raise ConfigInvalid(
        key=key, reason=f"{value!r} is {type(value).__name__}; expected {expected.get(kind, 'a list of strings')}"
    )
