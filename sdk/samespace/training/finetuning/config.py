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

from ...errors import ConfigInvalid
from ..losses.loss import loss_named, loss_names

PRECISIONS: Final = ("auto", "fp32", "bf16")
LEAKAGE: Final = ("none", "passages", "all")
AUTO: Final = "auto"
ATTENTION: Final = "attention"
POOLINGS: Final = ("mean", "cls", "max", "last", "weighted_mean", ATTENTION)
DEFAULT_BASE: Final = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_SPLITS: Final = ("dev", "test")
"""Splits that a set need not have."""
_PATHS: Final = ("data", "out", "teacher")
_NEEDED: Final = ("data", "out")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "precision": PRECISIONS,
    "allow_leakage": LEAKAGE,
    "loss": loss_names(),
    "mask": ("near", "equal", "none"),
    "mine": ("none", "bm25", "encoder", "both"),
    "layer_norm": ("train", "freeze"),
    "keep": ("last", "best"),
    "pooling": ("", *POOLINGS),
    "on_collapse": ("stop", "lower_rate", "raise_rate", "warn"),
}


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How an encoder is fine-tuned. The keys of the TOML file are these names.

    Attributes:
        data: folder of the retrieval set in the BEIR layout, or any source that `training.sources` reads. Required. A
            relative path in the file is relative to the file; one given with `--set` is relative to the working
            directory.
        out: folder for the trained model. Required, here or as `--out`; must not exist.
        base: model folder or hub name to start from. Default: all-MiniLM-L6-v2, small and good. A larger base
            scores higher and costs in proportion, in training and for every text that is ever encoded.
        train_split: whose judgements are trained on. Default "train".
        held_out_splits: splits that training must not have seen, beside `dev_split` and `score_splits`: those that the
            set has are checked for leaks. Default ["dev", "test"].
        allow_leakage: "none" stops at any held-out text among the training texts. "passages" allows shared
            passages, which many public sets have, but no shared queries. "all" allows both: the score then says
            little about new texts. Default "none".
        drop_leaks: leave out the training pairs that leak, instead of stopping. Default false. Keeps the score
            honest and costs those pairs; the run record says how many.
        dev_split: split that is looked at while training: by the sentinel, the rate probe and the check of bf16.
            Default "dev"; "" for none, and a set without it does without. Costs a few texts at each look.
        score_splits: splits that are scored before and after training, beside BM25; those that the set has. Default
            ["dev", "test"]; [] for none. Costs encoding the corpus twice, and buys the answer whether training helped.
        seed: of everything random: order of the data, negatives, dropout. Default 1. The same seed on the same
            machine with the same number of threads gives the same weights. A run that was killed and resumed keeps its
            number.
        epochs: times that each pair is seen, 1 or more. Default 1. More helps small sets until they are learned
            by heart: watch the dev score. Cost is in proportion.
        max_steps: end after so many steps, whatever `epochs` says; 0 for no such end. Default 0. The rate falls to 0 by
            then. For a budget of time, and to try a configuration.
        batch_size: pairs of one step; the others of the batch are the negatives. Default 64. Larger is a harder
            and usually better task, with fewer steps; memory does not grow, see mini_batch_size. With several
            processes: of each process; all are negatives for all.
        mini_batch_size: texts that go through the model at once. Default 32. Changes memory and speed, not the
            gradient. Where a batch has more texts the gradient is cached, which costs one more forward pass.
        loss: "infonce" tells the right passage from all others; for retrieval, and the default. "listwise" ranks a
            pair's passages as a teacher does, "margin_mse" learns a teacher's margins, see teacher. "imitate" gives
            each text the vector that the guide has for it, whose dims have to be the base's. "cosine_mse" and
            "contrastive" are for labelled pairs: the first makes the cosine the label, the second puts pairs of label
            0 at least half a cosine apart.
        learning_rate: highest rate of AdamW, or "auto" to try some in short runs first, at up to 10 % of the run's
            steps. Default 5e-5. Too high forgets what the base knew, too low learns nothing; try a factor of 3
            either way.
        warmup: share of the steps in which the rate rises from 0, in [0, 1); it then falls to 0. Default 0.1.
        weight_decay: of AdamW, 0 or more. Default 0.01.
        dropout: share of activations that are left out at random in training, in [0, 1). Default 0: a few epochs over
            a trained base need none, and on CPUs it costs a third of the time. Raise to 0.1 for many epochs.
        layer_norm: "train", or "freeze" to keep the gains and biases of layer norms as the base has them. Default
            "train". Freezing steadies high rates; costs a little quality.
        layer_norm_eps: what layer norms add to the variance; 0 for the base's own. Default 0. Part of the encoder, and
            saved with it. Raise (1e-5) where bf16 overflows.
        lora_rank: train matrices of this rank beside each linear layer instead of the weights; 0 for the weights
            themselves. Default 0. 8 to 64 keeps more of the base on little data and needs a tenfold learning_rate;
            merged before saving, so the encoder costs nothing more.
        blend: share of the trained weights in the result, the rest being the base's, above 0 to 1. Default 1: all. Less
            keeps more of what the base knew, at no cost in time, and on little data often retrieves better than either
            end; try 0.5 where the model is not better than its base, or forgets.
        keep: which weights of a run are kept: "last", or "best" for those of the step that did best on `dev_split`.
            Default "last". "best" costs `looks` at the development questions. What they choose, they cannot report: the
            verdict is that of another split.
        looks: how often a run with keep = "best" is looked at, evenly spread. Default 8. Each encodes the development
            questions and up to `look_passages` passages; with `ema` twice.
        look_passages: passages that a look searches, those that answer among them. Default 1500. Fewer are quicker and
            easier to search, so that differences of models show less.
        patience: looks in a row without a better one after which the run ends; 0 for never. Default 0. For
            keep = "best"; 3 saves time where the best step comes early.
        ema: share of the running average of the weights that each step leaves as it was, in [0, 1); 0 for no average.
            Default 0. The average is kept where it does better on `dev_split` than the weights themselves. Try
            1 - 5 / steps of the run. Costs two more copies of the model in memory.
        seeds: runs that differ in their seed alone, from `seed` on. Default 1. The best is kept, and others are
            averaged with it where `dev_split` does not get worse by it. Costs a whole run each.
        temperature: what cosines are divided by before the softmax, above 0. Default 0.05. Lower looks harder at
            the nearest negatives; wrong negatives then hurt more.
        learn_temperature: train the temperature too, kept between 0.005 and 1. Default false. Helps long runs.
        symmetric: also tell which query belongs to a passage. Default true. Costs nothing; turn it off where many
            queries share passages.
        mask: which passages of a batch are no negatives of a query: "near" for the known answers of the query, in
            whatever case it is written, and near-duplicates of these; "equal" the same for equal texts only, where
            answers that differ in a name are other answers; "none" for nothing but its own. Default "near", about a
            millisecond a text once.
        guide: model folder or hub name of another encoder; what it puts above the right passage is no negative.
            Default "": none. Finds right answers that nobody judged; costs encoding every text once.
        negatives: hard negatives of a pair in a step, drawn from the data's own and the mined ones. Default 1. Each
            costs one more passage through the model.
        mine: who looks for hard negatives in the corpus: "none", "bm25", "encoder" (the one in training) or "both", in
            turn. Default "none". Usually worth it where the corpus is much larger than a batch; "encoder"
            encodes the corpus whenever it mines.
        mine_every: mine again after this many epochs, with the encoder as it is then; 0 for once, before the first.
            Default 1. The negatives grow harder with the encoder; see mine for the cost.
        mine_count: mined negatives that are kept for a query, of which a step draws. Default 8. More are easier ones.
        mine_margin: how far below the right answer a negative has to score, as a share of its score, in [0, 1). Default
            0.05. Higher gives fewer false negatives and easier ones.
        teacher: who scores pairs and negatives, for loss = "listwise" or "margin_mse": a cross-encoder or a larger
            encoder, as a folder or hub name, or JSON lines of {"query", "passage", "score"}, texts as in the data.
            Default "": none. A model reads every text or pair once, and what it said is kept in the cache.
        teacher_temperature: what the teacher's scores are divided by before the softmax of "listwise"; 0 for 1, or for
            `temperature` where the teacher's scores are cosines. Default 0. Lower trusts the teacher's first choice
            more, higher its whole order.
        pooling: how tokens become one vector: "mean", "cls", "max", "last", "weighted_mean" or "attention", a weight
            for each token by a query that is learned and begins as the mean; "" for the base's own. Default "". Another
            one has to be learned: `samespace train CONFIG --probe-poolings` compares them. Costs nothing afterwards.
        matryoshka_dims: shorter lengths that a prefix of the vector has to work at, such as [64, 128]; the whole vector
            is always trained. Default []. Costs little time and a little quality of the whole vector.
        query_max_tokens, passage_max_tokens: tokens of one text in training, special tokens and prompt included;
            0 for the base's own limit. Default 0. What lies beyond is cut, see passage_windows. Lower is faster; the
            run record says how many texts were cut.
        passage_windows: windows of a long passage that are trained, 1 or more, each of passage_max_tokens. Default 1:
            only the beginning. With more, a passage is trained by the vector that its windows make together, which is
            the one that it has when it is served; costs in proportion for the texts that are longer.
        query_prompt, passage_prompt: put in front of texts, in training and ever after. Default "": none.
            Set them where the base's model card names prompts.
        precision: what the forward pass computes in: "fp32", "bf16", or "auto" for bf16 where the processor has it
            and a short check on development pairs scores the same. Default "auto". bf16 is up to twice as fast;
            weights stay fp32.
        on_collapse: what is done when the sentinel sees a collapse, or that nothing is learned: "stop"; "lower_rate" or
            "raise_rate" to start again at a tenth or ten times the rate where that is the cause, at most twice, else
            stop; "warn" to go on. Default "stop".
        checkpoint_every: steps between checkpoints, from which a killed run goes on; 0 for none. Default 200. A
            checkpoint takes three times the model's size on disk; two are kept, beside `out`, until the run ends.
        report_to: loggers of the trainer, such as "tensorboard" or "wandb", if installed. Default []: none.
    """

    data: Path
    out: Path
    base: str = DEFAULT_BASE
    train_split: str = "train"
    held_out_splits: tuple[str, ...] = DEFAULT_SPLITS
    allow_leakage: str = "none"
    drop_leaks: bool = False
    dev_split: str = "dev"
    score_splits: tuple[str, ...] = DEFAULT_SPLITS
    seed: int = 1
    epochs: int = 1
    max_steps: int = 0
    batch_size: int = 64
    mini_batch_size: int = 32
    loss: str = "infonce"
    learning_rate: float | str = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.0
    layer_norm: str = "train"
    layer_norm_eps: float = 0.0
    lora_rank: int = 0
    blend: float = 1.0
    keep: str = "last"
    looks: int = 8
    look_passages: int = 1500
    patience: int = 0
    ema: float = 0.0
    seeds: int = 1
    temperature: float = 0.05
    learn_temperature: bool = False
    symmetric: bool = True
    mask: str = "near"
    guide: str = ""
    negatives: int = 1
    mine: str = "none"
    mine_every: int = 1
    mine_count: int = 8
    mine_margin: float = 0.05
    teacher: str = ""
    teacher_temperature: float = 0.0
    pooling: str = ""
    matryoshka_dims: tuple[int, ...] = ()
    query_max_tokens: int = 0
    passage_max_tokens: int = 0
    passage_windows: int = 1
    query_prompt: str = ""
    passage_prompt: str = ""
    precision: str = "auto"
    on_collapse: str = "stop"
    checkpoint_every: int = 200
    report_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, low, high in _RANGES:
            value = getattr(self, key)
            if key == "learning_rate" and value == AUTO:
                continue
            if isinstance(value, str) or not low <= value <= high:
                also = f", or {AUTO!r}" if key == "learning_rate" else ""
                raise ConfigInvalid(key=key, reason=f"{value!r}; expected {low:g} to {high:g}{also}")
        for key in ("query_max_tokens", "passage_max_tokens"):
            if getattr(self, key) < 8 and getattr(self, key) != 0:
                raise ConfigInvalid(
                    key=key, reason=f"{getattr(self, key)}; expected 0 (the base's limit), or 8 or more"
                )
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                value, offered = getattr(self, key), ", ".join(choices)
                raise ConfigInvalid(key=key, reason=f"{value!r}; expected one of {offered}{_nearest(value, choices)}")
        if not self.train_split:
            raise ConfigInvalid(key="train_split", reason="is empty; expected the name of a split, such as 'train'")
        if self.train_split in (*self.held_out_splits, *self.score_splits, self.dev_split):
            raise ConfigInvalid(
                key="train_split", reason=f"{self.train_split!r} is held out, so it cannot be trained on"
            )
        if self.patience and self.keep != "best":
            raise ConfigInvalid(key="patience", reason=f"{self.patience} has no effect without keep = 'best'")
        if any(dim < 1 for dim in self.matryoshka_dims):
            raise ConfigInvalid(key="matryoshka_dims", reason=f"{list(self.matryoshka_dims)}; expected 1 or more each")
        if (loss_named(self.loss).needs == "teacher") != bool(self.teacher):
            taught = " or ".join(map(repr, loss_names("teacher")))
            has, lacks = ("teacher", f"loss = {taught}") if self.teacher else ("loss", "a model or a file of scores")
            raise ConfigInvalid(
                key=has, reason=f"has no effect without {lacks}{'' if has == 'teacher' else ': teacher'}"
            )

    @property
    def unseen_splits(self) -> tuple[str, ...]:
        """What training must not have seen: held out, looked at, or scored."""
        named = (*self.held_out_splits, self.dev_split, *self.score_splits)
        return tuple(dict.fromkeys(split for split in named if split))

    @property
    def chooses(self) -> bool:
        """Whether the development split chooses among weights."""
        return self.keep == "best" or self.ema > 0 or self.seeds > 1

    @property
    def rate(self) -> float:
        """The learning rate, where it is a number."""
        assert not isinstance(self.learning_rate, str), "the rate has to be picked first"
        return self.learning_rate

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
    ("max_steps", 0, 100_000_000),
    ("batch_size", 2, 65536),
    ("mini_batch_size", 1, 65536),
    ("layer_norm_eps", 0, 0.01),
    ("lora_rank", 0, 1024),
    ("negatives", 0, 64),
    ("mine_every", 0, 1000),
    ("mine_count", 1, 100),
    ("mine_margin", 0, 0.99),
    ("checkpoint_every", 0, 1_000_000),
    ("learning_rate", 1e-9, 1),
    ("warmup", 0, 0.99),
    ("weight_decay", 0, 1),
    ("dropout", 0, 0.99),
    ("blend", 0.01, 1),
    ("looks", 1, 1000),
    ("look_passages", 10, 1_000_000),
    ("patience", 0, 1000),
    ("ema", 0, 0.99999),
    ("seeds", 1, 100),
    ("passage_windows", 1, 64),
    ("temperature", 0.001, 10),
    ("teacher_temperature", 0, 100),
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
            beside = file.parent / Path(values[key]).expanduser()
            if key != "teacher" or beside.exists() or values[key].endswith(".jsonl"):  # else a hub's name
                values[key] = str(beside)
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
    for key in _NEEDED:
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
    if kind == "float | str" and (value == AUTO or (isinstance(value, int | float) and not isinstance(value, bool))):
        return value if value == AUTO else float(value)
    if kind == "tuple[int, ...]" and isinstance(value, list | tuple) and all(type(item) is int for item in value):
        return tuple(value)
    if kind == "tuple[str, ...]" and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind in ("str", "int", "bool") and type(value).__name__ == kind:
        return value
    expected = {
        "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "Path": "a path",
        "float | str": f"a number, or {AUTO!r}", "tuple[int, ...]": "a list of whole numbers",
    }  # fmt: skip
    raise ConfigInvalid(
        key=key, reason=f"{value!r} is {type(value).__name__}; expected {expected.get(kind, 'a list of strings')}"
    )
