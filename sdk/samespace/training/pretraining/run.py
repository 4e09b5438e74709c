"""Pretraining on the raw texts of a domain, before contrastive training.

For a tenth of the steps only the head learns: it knows nothing yet, and what it would send back would spoil the base.
Everything random follows from seed and step, so a run that is killed and started again ends in the same weights.

The result is another space, and as a retriever often a worse one until it is fine-tuned: it is scored beside its base.

What it leaves to others: what is predicted (`objectives`), the texts (`domain`).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer

from ...errors import ConfigInvalid, DataInvalid, TrainingFailed
from ...evaluation import Dataset
from ...folders import require_room, whole_file, whole_folder, writes
from ...model.checkpoint import Checkpoint, load_checkpoint
from ...model.folder.saving import require_savable, save_folder
from ...progress import Progress, silent
from ...text import ROLES, Recipe, TextEncoder, Window, pad
from ..finetuning.model import load_plain, set_dropout
from ..finetuning.setup import has_bf16
from ..scoring.outcome import score
from ..scoring.record import write_record
from .domain import DomainTexts
from .objectives import Denoising, MaskedTokens, Objective, Vocabulary

OBJECTIVES: Final = ("mlm", "tsdae")
_HEAD_SHARE: Final = 0.1
_HEAD_RATE: Final = 1e-3
_WARMUP: Final = 0.1
_HELD_OUT: Final = 64  # windows that are not trained on, to tell learning by heart from learning
_SORTED_TOGETHER: Final = 16  # batches: like lengths need little padding
_MASKS: Final = ("[MASK]", "<mask>", "<|mask|>")


@dataclass(frozen=True, slots=True)
class PretrainingSettings:
    """How a base is pretrained.

    Attributes:
        objective: "mlm" fills in masked tokens; "tsdae" rebuilds texts from vectors of what noise left of them, which
            also trains the vector itself, and needs no mask token.
        steps: 0 for one pass over the texts. A few hundred already teach new vocabulary.
        batch_size: windows of a step, 2 or more.
        learning_rate: highest rate for the base, above 0. Higher learns the domain faster and forgets more.
        max_tokens: of a window; texts are divided into windows of this length, so nothing is cut. Cost is in
            proportion to steps x batch_size x max_tokens.
        seed: of everything random.
        precision: "fp32", "bf16", or "auto" for bf16 where the processor has it.
        checkpoint_every: steps; 0 for none.
    """

    objective: str = "mlm"
    steps: int = 0
    batch_size: int = 32
    learning_rate: float = 5e-5
    max_tokens: int = 128
    seed: int = 1
    precision: str = "auto"
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ConfigInvalid(key="objective", reason=f"{self.objective!r}; expected {' or '.join(OBJECTIVES)}")
        for key, low in (("steps", 0), ("batch_size", 2), ("max_tokens", 8), ("checkpoint_every", 0)):
            if getattr(self, key) < low:
                raise ConfigInvalid(key=key, reason=f"{getattr(self, key)}; expected {low} or more")
        if not 0 < self.learning_rate <= 1:
            raise ConfigInvalid(key="learning_rate", reason=f"{self.learning_rate}; expected above 0, to 1")


@dataclass
class _Run:
    """What a run changes and what its checkpoint holds."""

    model: Any
    objective: Objective
    optimizer: torch.optim.AdamW
    losses: list[float]


@writes("out")
def pretrain(
    model: str,
    domain: DomainTexts,
    out: Path,
    settings: PretrainingSettings,
    development: Mapping[str, Dataset],
    progress: Progress = silent,
) -> dict[str, Any]:
    """Pretrain *model* on *domain*, write it to *out* with `run.json`, and give what that says.

    Raises:
        ConfigInvalid: the target exists, the limit is beyond the base's, the base has no mask token ("mlm"), or
            checkpoints of another run are there.
        DataInvalid: there is too little text.
        TrainingFailed: the loss is no number, or no better than guessing tokens by their frequency.
    """
    if out.exists():
        raise ConfigInvalid(key="out", reason=f"{out} exists already; name another folder, or remove it")
    base = load_checkpoint(model)
    require_savable(base)
    windows = _windows(base, domain, settings, model)
    held, trained = _kept_aside(windows)
    if len(trained) < settings.batch_size:
        raise DataInvalid(
            path=str(domain.path),
            reason=f"{len(windows)} windows of {settings.max_tokens} tokens; a batch needs {settings.batch_size}",
        )
    steps = settings.steps or math.ceil(len(trained) / settings.batch_size)
    torch.manual_seed(settings.seed)
    loaded = load_plain(model)
    loaded.to("cuda" if torch.cuda.is_available() else "cpu")
    numbers = sum(weight.numel() for weight in loaded.parameters())
    require_room(out, 4 * numbers * (4 if settings.checkpoint_every else 1))  # a checkpoint has the optimiser's too
    vocabulary = _vocabulary(base, loaded, trained, settings.objective, model)
    run = _start(loaded, vocabulary, settings)
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and has_bf16())
    said = [asdict(settings) | {"steps": steps, "checkpoint_every": 0}, domain.digest(), base.identity.space_id(), bf16]
    saved = _Saved(out, hashlib.sha256(json.dumps(said).encode()).hexdigest(), settings.checkpoint_every)
    before, began = _held_out_loss(run, held, settings, bf16), time.perf_counter()
    saved.restore(run)
    with progress("pretraining steps", steps) as advance:
        advance(len(run.losses))
        for step, batch in _batches(trained, settings, steps, len(run.losses)):
            _step(run, batch, step, steps, settings, bf16)
            saved.keep(run)
            advance(1)
    seconds = time.perf_counter() - began
    held_out_loss = {"before": before, "after": _held_out_loss(run, held, settings, bf16)}
    held_out_loss["guessing"] = vocabulary.guessing()
    _require_learned(held_out_loss, steps)
    facts: dict[str, Any] = {
        "data": {"folder": domain.path.resolve().name, "sha256": domain.digest(), "windows": len(windows)},
        "settings": asdict(settings) | {"steps": steps, "precision": "bf16" if bf16 else "fp32"},
        "loss": run.losses,
        "held_out_loss": held_out_loss,
        "training_s": round(seconds, 3),
    }
    record = _written(loaded, model, base, out, facts, development, progress)
    saved.forget()
    return record


def _kept_aside(windows: Sequence[Window]) -> tuple[list[Window], list[Window]]:
    """Some windows that are not trained on, evenly spread, and all others."""
    held = windows[:: max(1, len(windows) // min(_HELD_OUT, len(windows) // 10 + 1))][:_HELD_OUT]
    kept = {id(window) for window in held}
    return list(held), [window for window in windows if id(window) not in kept]


def _require_learned(held_out_loss: Mapping[str, float], steps: int) -> None:
    after, guessing = held_out_loss["after"], held_out_loss["guessing"]
    if not after < guessing:
        raise TrainingFailed(
            f"after {steps} steps the loss on texts that were kept aside is {after:.3f}, and guessing tokens by their "
            f"frequency gives {guessing:.3f}: nothing was learned; take more steps, or another learning rate"
        )


def _written(
    loaded: Any,
    model: str,
    base: Checkpoint,
    out: Path,
    facts: Mapping[str, Any],
    development: Mapping[str, Dataset],
    progress: Progress,
) -> dict[str, Any]:
    """Write the model and what `run.json` says of it; that."""
    with whole_folder(out) as work:
        save_folder(loaded, work, base.folder_tokenizer, model)
        made = load_checkpoint(work)
        record: dict[str, Any] = {
            "what": "pretrain",
            "base": model,
            "base_space_id": base.identity.space_id(),
            "space_id": made.identity.space_id(),
            **facts,
            "threads": torch.get_num_threads(),
            "device": str(loaded.device),
            **score(base, made, development, progress).to_json(),
        }
        write_record(work, record)
    return record


def _windows(base: Checkpoint, domain: DomainTexts, settings: PretrainingSettings, source: str) -> list[Window]:
    """All of every text, without prompts, in windows that do not overlap; crumbs are left out."""
    limit = base.recipe.token_limit
    if settings.max_tokens > limit:
        raise ConfigInvalid(key="max_tokens", reason=f"{settings.max_tokens}; {source} takes at most {limit}")
    recipe = Recipe({"query": "", "passage": ""}, settings.max_tokens, window_overlap=0)
    encoder = TextEncoder(Tokenizer.from_buffer(base.tokenizer), recipe)
    made = [
        window
        for role in ROLES
        for start in range(0, len(domain.texts[role]), 1024)
        for text in encoder.tokenize(domain.texts[role][start : start + 1024], role)
        for window in text.windows
        if window.content > 1
    ]
    if not made:
        raise DataInvalid(path=str(domain.path), reason="no text has two tokens")
    return made


def _vocabulary(base: Checkpoint, model: Any, windows: Sequence[Window], objective: str, source: str) -> Vocabulary:
    tokenizer = Tokenizer.from_buffer(base.tokenizer)
    mask = next((number for token in _MASKS if (number := tokenizer.token_to_id(token)) is not None), -1)
    if objective == "mlm" and mask < 0:
        raise ConfigInvalid(
            key="objective", reason=f"mlm needs a mask token, and the tokenizer of {source} has none; take tsdae"
        )
    size = int(model[0].auto_model.get_input_embeddings().weight.shape[0])
    special = torch.tensor([number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special])
    counts = torch.bincount(torch.tensor([token for window in windows for token in window.ids]), minlength=size)
    counts[special] = 0  # they are never predicted
    return Vocabulary(size, mask, special, counts.float())


def _start(model: Any, vocabulary: Vocabulary, settings: PretrainingSettings) -> _Run:
    set_dropout(model, 0.0)
    table = model[0].auto_model.get_input_embeddings()
    objective: Objective
    if settings.objective == "mlm":
        objective = MaskedTokens(int(model[0].get_embedding_dimension()), table, vocabulary)
    else:
        objective = Denoising(int(model.get_embedding_dimension()), table, vocabulary, settings.max_tokens)
    objective.to(model.device)
    groups = [{"params": list(model.parameters())}, {"params": list(objective.parameters())}]
    return _Run(model.train(), objective, torch.optim.AdamW(groups, lr=0.0, weight_decay=0.01), [])


def _batches(
    windows: Sequence[Window], settings: PretrainingSettings, steps: int, done: int
) -> Iterator[tuple[int, list[Window]]]:
    """(step, windows) from step *done* on; each pass has its own order, of batches of like lengths."""
    each = len(windows) // settings.batch_size
    for step in range(done, steps):
        epoch, place = divmod(step, each)
        if step == done or place == 0:
            order = _order(windows, settings.batch_size, _generator(settings.seed, -1 - epoch))
        yield step, [windows[row] for row in order[place]]


def _order(windows: Sequence[Window], batch_size: int, generator: torch.Generator) -> list[list[int]]:
    rows = torch.randperm(len(windows), generator=generator).tolist()
    rows = rows[: len(rows) // batch_size * batch_size]
    batches = []
    for start in range(0, len(rows), _SORTED_TOGETHER * batch_size):
        near = sorted(rows[start : start + _SORTED_TOGETHER * batch_size], key=lambda row: len(windows[row].ids))
        batches += [near[first : first + batch_size] for first in range(0, len(near), batch_size)]
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def _step(run: _Run, batch: Sequence[Window], step: int, steps: int, settings: PretrainingSettings, bf16: bool) -> None:
    alone = step < int(_HEAD_SHARE * steps)  # the head, without the base
    for weight in run.model.parameters():
        weight.requires_grad_(not alone)
    rates = (0.0 if alone else settings.learning_rate * _rise_and_fall(step, steps), _HEAD_RATE)
    for group, rate in zip(run.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    loss = _loss(run, batch, _generator(settings.seed, step), bf16)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingFailed(f"the loss is {value} at step {step + 1} of {steps}; lower the learning rate")
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([*run.model.parameters(), *run.objective.parameters()], 1.0)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.losses.append(value)


def _rise_and_fall(step: int, steps: int) -> float:
    """Of the highest rate: up over a tenth of what follows the head's own steps, then down to 0."""
    first = int(_HEAD_SHARE * steps)
    rise = max(1, int(_WARMUP * (steps - first)))
    return min((step - first + 1) / rise, (steps - step) / max(1, steps - first - rise))


def _loss(run: _Run, batch: Sequence[Window], generator: torch.Generator, bf16: bool) -> torch.Tensor:
    ids, mask = (torch.from_numpy(part) for part in pad(batch))
    with torch.autocast(run.model.device.type, torch.bfloat16, enabled=bf16):
        loss: torch.Tensor = run.objective(run.model, ids, mask, generator)
    return loss


@torch.no_grad()
def _held_out_loss(run: _Run, held: Sequence[Window], settings: PretrainingSettings, bf16: bool) -> float:
    """Mean loss of windows that are not trained on, with noise that is always the same."""
    parts = [held[start : start + settings.batch_size] for start in range(0, len(held), settings.batch_size)]
    losses = [float(_loss(run, part, _generator(settings.seed, 0), bf16)) * len(part) for part in parts]
    return sum(losses) / len(held)


def _generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


class _Saved:
    """The checkpoint of a run, one file beside its target."""

    def __init__(self, out: Path, digest: str, every: int) -> None:
        self._file = out.with_name(f".{out.name}.pretraining.pt")
        self._digest, self._every = digest, every

    def restore(self, run: _Run) -> None:
        """Go on from the checkpoint, if there is one; it has to be of this very run."""
        if not self._every or not self._file.exists():
            return
        state = torch.load(self._file, map_location="cpu", weights_only=True)
        if state["digest"] != self._digest:
            raise ConfigInvalid(
                key="out",
                reason=f"{self._file} is of a run with other settings or data; go on with those, or remove it",
            )
        run.model.load_state_dict(state["model"])
        run.objective.load_state_dict(state["objective"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.losses[:] = state["losses"]

    def keep(self, run: _Run) -> None:
        """Write one, if it is time; a half-written one never takes the place of a whole one."""
        if not self._every or len(run.losses) % self._every:
            return
        parts: Mapping[str, Callable[[], Any]] = {
            "model": run.model.state_dict, "objective": run.objective.state_dict, "optimizer": run.optimizer.state_dict
        }  # fmt: skip
        state = {name: part() for name, part in parts.items()}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self._file) as file:
            torch.save({"digest": self._digest, "losses": run.losses, **state}, file)

    def forget(self) -> None:
        """Remove it: the run has ended."""
        self._file.unlink(missing_ok=True)
