"""The encoder that is trained: loaded from its base, with the settings that only training has.

Dropout, layer norms and adapters are set on the layers themselves, whatever the architecture calls them: a setting
in a configuration that a layer read once when it was built changes nothing.

What it leaves to others: the loop (`loop`), what an encoder is when it is exported (`export`).
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ...errors import ConfigInvalid
from ...model.folder.saving import save_folder
from ...model.hub import resolve_model
from ...model.modules import ATTENTION_POOLING, POOLING_NAMES
from ...model.quiet import quiet
from ...text import Recipe
from .config import ATTENTION, TrainingConfig

_DROPOUT_NUMBERS: Final = ("attention_dropout", "dropout", "dropout_prob", "activation_dropout", "dropout_rate")
_LORA_SCALE: Final = 2.0  # alpha / rank, as most recipes have it


def load_model(config: TrainingConfig, recipe: Recipe) -> Any:
    """The base as a SentenceTransformer in fp32, set up as *config* says, with the prompts of *recipe*.

    Raises:
        ConfigInvalid: adapters or layer norms are asked of a model that has none.
    """
    model = load_start(config)
    set_dropout(model, config.dropout)
    if config.layer_norm_eps:
        set_layer_norm_eps(model, config.layer_norm_eps)
    if config.lora_rank:
        add_adapters(model, config.lora_rank, seed=config.seed)
    if config.layer_norm == "freeze":
        freeze_layer_norms(model)
    set_prompts(model, recipe)
    return model


def load_start(config: TrainingConfig) -> Any:
    """The base in fp32 with the pooling that *config* says: where training begins, and what `blend` goes back to."""
    model = load_plain(config.base)
    if config.pooling:
        set_pooling(model, config.pooling)
    return model


def set_prompts(model: Any, recipe: Recipe) -> None:
    """Give *model* the prompts of *recipe*, one for each role and no other."""
    model.prompts = {"query": recipe.prompts["query"], "document": recipe.prompts["passage"]}
    model.default_prompt_name = None


def set_pooling(model: Any, pooling: str) -> None:
    """Give *model* another pooling; "attention" begins as the mean.

    Raises:
        ConfigInvalid: *model* has no pooling after a transformer, or one of another length.
    """
    from sentence_transformers.sentence_transformer.modules import Pooling

    from ...model.attention_pooling import AttentionPooling

    place = next((name for name, each in model.named_children() if isinstance(each, Pooling | AttentionPooling)), None)
    if place is None:
        raise ConfigInvalid(key="pooling", reason=f"{pooling!r}, but the base has no pooling that could be replaced")
    old = getattr(model, place)
    dims = int(model[0].get_embedding_dimension())
    if int(old.get_embedding_dimension()) != dims:
        raise ConfigInvalid(
            key="pooling",
            reason=f"{pooling!r} gives {dims} dims, and the base's own pooling {old.get_embedding_dimension()}",
        )
    if pooling == ATTENTION:
        new = AttentionPooling(dims)
    else:
        new = Pooling(dims, POOLING_NAMES[pooling], include_prompt=getattr(old, "include_prompt", True))
    setattr(model, place, new.to(model.device))


def load_plain(base: str) -> Any:
    """A model folder or hub name as a SentenceTransformer in fp32, as it is."""
    from sentence_transformers import SentenceTransformer

    folder = Path(resolve_model(base))
    with quiet("sentence_transformers", "transformers"), _known_modules(folder) as (known, attention):
        model = SentenceTransformer(str(known), trust_remote_code=False, model_kwargs={"dtype": torch.float32})
        for name, subfolder in attention.items():
            from ...model.attention_pooling import AttentionPooling

            setattr(model, name, AttentionPooling.load(str(folder), subfolder=subfolder).to(model.device))
    return model


@contextmanager
def _known_modules(folder: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """*folder* as sentence-transformers loads it without being asked to trust code, and what is to be put in its place.

    It takes no class that is not its own, so the mean stands in for our attention pooling: module -> its folder.
    """
    listed = folder / "modules.json"
    modules = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    attention = {each["name"]: each["path"] for each in modules if each["type"] in ATTENTION_POOLING}
    if not attention:
        yield folder, {}
        return
    with tempfile.TemporaryDirectory(prefix="samespace-base-") as scratch:
        for each in folder.iterdir():
            if each.name not in ("modules.json", *attention.values()):
                (Path(scratch) / each.name).symlink_to(each.resolve())
        for path in attention.values():
            dimension = json.loads((folder / path / "config.json").read_text(encoding="utf-8"))["dimension"]
            (Path(scratch) / path).mkdir()
            mean = {"embedding_dimension": dimension, "pooling_mode": "mean"}
            (Path(scratch) / path / "config.json").write_text(json.dumps(mean), encoding="utf-8")
        pooling = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
        named = [each | {"type": pooling} if each["name"] in attention else each for each in modules]
        (Path(scratch) / "modules.json").write_text(json.dumps(named), encoding="utf-8")
        yield Path(scratch), attention


def save_model(model: Any, folder: Path, tokenizer: Tokenizer, source: str) -> None:
    """Write *model* as `saving.save_folder` does; adapters are merged into *model* first."""
    merge_adapters(model)
    save_folder(model, folder, tokenizer, source)


@torch.no_grad()
def blend(model: nn.Module, base: nn.Module, share: float) -> None:
    """Move *model* towards *base*: its own weights count *share*, those of *base* the rest; adapters are merged first.

    Source: Wortsman et al. 2021, "Robust fine-tuning of zero-shot models", arXiv:2109.01903, section 3.
    """
    merge_adapters(model)
    start = dict(base.named_parameters())
    for name, weight in model.named_parameters():  # a tied weight only once
        weight.lerp_(start[name].to(weight), 1 - share)


def mixtures(model: nn.Module, base: nn.Module, shares: Sequence[float]) -> Iterator[tuple[float, Any]]:
    """Each of *shares*, and a copy of *model* moved so far towards *base* (`blend`); 1 leaves it as it is."""
    for share in shares:
        mixed = deepcopy(model)
        if share < 1:
            blend(mixed, base, share)
        yield share, mixed


def set_dropout(model: nn.Module, share: float) -> None:
    """Make *share* the dropout of every layer, also where attention keeps it as a plain number."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in _DROPOUT_NUMBERS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)


def layer_norms(model: nn.Module) -> list[nn.Module]:
    """Every layer norm and RMS norm of *model*, whoever wrote the class."""
    return [module for module in model.modules() if type(module).__name__.endswith(("LayerNorm", "RMSNorm"))]


def set_layer_norm_eps(model: nn.Module, eps: float) -> None:
    """What layer norms add to the variance, in the layers and in the configuration that is saved with them."""
    norms = layer_norms(model)
    if not norms:
        raise ConfigInvalid(key="layer_norm_eps", reason="the base has no layer norms")
    for norm in norms:
        for name in ("eps", "variance_epsilon"):
            if hasattr(norm, name):
                setattr(norm, name, eps)
    for module in model.modules():
        settings = getattr(module, "config", None)
        for name in ("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_eps"):
            if hasattr(settings, name):
                setattr(settings, name, eps)


def freeze_layer_norms(model: nn.Module) -> None:
    """Keep gains and biases of layer norms as they are."""
    norms = layer_norms(model)
    if not norms:
        raise ConfigInvalid(key="layer_norm", reason="'freeze', but the base has no layer norms")
    for norm in norms:
        norm.requires_grad_(False)


class Adapted(nn.Module):
    """A linear layer that keeps its weights, plus two thin matrices that are trained: W x + s B A x.

    B starts at zero, so the layer starts as the base has it.

    Source: Hu et al. 2021, "LoRA", arXiv:2106.09685, section 4.1.
    """

    def __init__(self, linear: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = linear
        bound = 1 / math.sqrt(linear.in_features)
        start = torch.rand(rank, linear.in_features, generator=generator) * 2 * bound - bound
        self.down = nn.Parameter(start.to(linear.weight))
        self.up = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in features) to (..., out features)."""
        change: Tensor = x @ self.down.T @ self.up.T
        adapted: Tensor = self.linear(x) + _LORA_SCALE * change
        return adapted

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The one linear layer that does the same."""
        self.linear.weight += _LORA_SCALE * (self.up @ self.down)
        return self.linear


def add_adapters(model: nn.Module, rank: int, *, seed: int) -> None:
    """Put adapters around every linear layer; nothing else is trained any more.

    Our own, and not peft's: two matrices are little code, and merging leaves an ordinary folder.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    found = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, Adapted(child, rank, generator).to(child.weight.device))
                found += 1
    if not found:
        raise ConfigInvalid(key="lora_rank", reason=f"{rank}, but the base has no linear layers")


def merge_adapters(model: nn.Module) -> None:
    """Replace adapters by the linear layers that they amount to."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Adapted):
                setattr(parent, name, child.merged())
