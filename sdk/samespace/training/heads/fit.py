"""Training a head on vectors: Adam on InfoNCE or on (cosine - label)^2, one rate, one run.

The encoder is frozen, so its vectors are numbers like any others, and a whole training takes seconds on a CPU. What
it is like on the way is measured now and then, and every such state is kept: which of them is best is for
`choice` to say.

What it leaves to others: the vectors (`frozen`, `data`), the losses (`losses`), the rate and the epoch (`choice`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import ConfigInvalid, TrainingFailed
from ...heads import DenseLayer, Head, Heads
from ...text import ROLES
from ...vectors import Float32
from ..data.examples import RELEVANT
from ..losses.loss import LossTerms, loss_named
from ..losses.pairs import BatchPairs
from .config import HeadConfig
from .data import HeadData

STATES: Final = 10
"""States of a run that are kept and scored, beside the start."""
_INNER_SPREAD: Final = 0.02  # of hidden units that the start does not need

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeadState:
    """The heads after some steps.

    Attributes:
        step: steps done; 0 is the start.
        loss: mean over the steps since the last state; of the first batch for the start.
        gradient_norm: of the last of these steps.
    """

    step: int
    heads: Heads
    loss: float
    gradient_norm: float


@dataclass(frozen=True)
class HeadBatch:
    """Rows of one step.

    Attributes:
        queries, passages: (distinct rows,), int64, ascending.
        left, right: (pairs,), places of each pair's texts in them.
        labels: (pairs,), float32.
    """

    queries: Int64
    passages: Int64
    left: Int64
    right: Int64
    labels: Float32

    @staticmethod
    def of(pairs: Int64, labels: Float32) -> HeadBatch:
        """The batch of some pairs, each text named once."""
        queries, left = np.unique(pairs[:, 0], return_inverse=True)
        passages, right = np.unique(pairs[:, 1], return_inverse=True)
        return HeadBatch(queries, passages, left, right, labels)


@dataclass(frozen=True)
class HeadPairs:
    """What every rate is trained on: vectors of the texts, pairs with labels, and what is known to belong together."""

    queries: Float32
    passages: Float32
    pairs: Int64
    labels: Float32
    known: Int64

    def masked(self, batch: HeadBatch) -> npt.NDArray[np.bool_]:
        """(queries, passages of the batch): True where the two belong together, so they are no negatives."""
        keys = batch.queries[:, None] * len(self.passages) + batch.passages[None, :]
        place = np.minimum(np.searchsorted(self.known, keys), len(self.known) - 1)  # faster than isin, which sorts
        return np.asarray(self.known[place] == keys)

    def together(self, batch: HeadBatch) -> BatchPairs:
        """What belongs together in *batch*, for a loss."""
        return _together(batch, torch.from_numpy(self.masked(batch)))

    def batches(self, size: int, seed: int) -> Iterator[HeadBatch]:
        """All pairs once, in an order drawn from *seed*."""
        order = np.random.default_rng(seed).permutation(len(self.pairs))
        for start in range(0, len(order) - (len(order) > 1), size):  # no batch of one: it has no negatives
            rows = order[start : start + size]
            yield HeadBatch.of(self.pairs[rows], self.labels[rows])


def examples(data: HeadData, config: HeadConfig) -> HeadPairs:
    """The pairs of *data* as the loss wants them.

    For a loss that needs labels, where there are none, each pair is joined by `config.negatives` random passages with
    label 0, none of which is known to answer the query.
    """
    pairs, labels = data.pairs, data.labels
    needs = loss_named(config.loss).needs
    if needs == "pairs" and data.labelled:
        kept = labels >= RELEVANT
        pairs, labels = pairs[kept], np.ones(int(kept.sum()), np.float32)
    elif needs == "labels" and not data.labelled:
        random = np.random.default_rng(config.seed)
        queries = np.repeat(pairs[:, 0], config.negatives)
        drawn = random.integers(0, len(data.passages), size=len(queries))
        wrong = ~np.isin(queries * len(data.passages) + drawn, data.known)
        pairs = np.concatenate([pairs, np.stack([queries, drawn], axis=1)[wrong]])
        labels = np.concatenate([labels, np.zeros(int(wrong.sum()), np.float32)])
    if len(pairs) < 2:
        raise ConfigInvalid(
            key="loss", reason=f"{config.loss} has {len(pairs)} pairs to train on; at least 2 are needed"
        )
    return HeadPairs(data.queries.pooled(), data.passages.pooled(), pairs, labels, data.known)


def _together(batch: HeadBatch, masked: Tensor) -> BatchPairs:
    rows, columns, labels = (torch.from_numpy(each) for each in (batch.left, batch.right, batch.labels))
    return BatchPairs.alike(rows, columns, masked, labels)


def terms_of(config: HeadConfig) -> LossTerms:
    """The numbers of the loss: queries compete for passages, and passages for queries."""
    return LossTerms(config.temperature, symmetric=True)


def trivial_loss(made: HeadPairs, config: HeadConfig) -> float:
    """What heads reach that tell nothing apart: of all pairs, or the mean over batches where a batch's size matters."""
    loss, terms = loss_named(config.loss), terms_of(config)
    if not loss.ranks:
        nothing = torch.zeros((0, 0), dtype=torch.bool)  # no other passages are looked at
        return loss.trivial(_together(HeadBatch.of(made.pairs, made.labels), nothing), terms)
    batches = made.batches(config.batch_size, config.seed)
    return float(np.mean([loss.trivial(made.together(batch), terms) for batch in batches]))


def start(data: HeadData, config: HeadConfig) -> Heads:
    """Heads before the first step; see `HeadConfig.start`.

    Between two spaces the start is the pair of projections under which the anchors' vectors have the largest sum of
    inner products: the singular vectors of X' Y. For dims of equal size that is the rotation of the orthogonal
    Procrustes problem (Schonemann 1966), split between the two sides. Within one space and with fewer dims it keeps
    the directions of largest energy.

    Raises:
        ConfigInvalid: more dims than a side has, or a hidden layer that is too narrow to start as the base.
    """
    sides = data.queries.dims, data.passages.dims
    dims = config.dims or min(sides)
    if dims > min(sides):
        raise ConfigInvalid(
            key="dims", reason=f"{dims}; the encoders give {sides[0]} and {sides[1]}: {min(sides)} at most"
        )
    hidden = (config.hidden or 2 * max(sides)) if config.kind == "mlp" else 0
    if hidden and hidden < 2 * dims:
        raise ConfigInvalid(
            key="hidden", reason=f"{hidden}; {2 * dims} at least for {dims} dims, or 0 for a fitting size"
        )
    random = torch.Generator().manual_seed(config.seed)
    if config.start == "random":
        made = [_random(side, dims, hidden, random) for side in sides]
    else:
        made = [_widened(projection, hidden, random) for projection in _projections(data, dims)]
    shared = not config.separate and data.anchors is None
    return Heads(made[0], made[0] if shared else made[1], data.sources)


def _projections(data: HeadData, dims: int) -> tuple[Float32, Float32]:
    """The start of each side, (dims, dims of the side)."""
    if data.anchors is None and dims == data.queries.dims:
        whole = np.eye(dims, dtype=np.float32)
        return whole, whole
    same = data.passages.pooled()
    left, right = (same, same) if data.anchors is None else (data.anchors.queries, data.anchors.passages)
    u, _, vt = np.linalg.svd(left.T.astype(np.float64) @ right.astype(np.float64))
    if data.anchors is None:
        vt = u.T  # the same up to signs that rounding chooses
    return u.T[:dims].astype(np.float32), vt[:dims].astype(np.float32)


def _widened(projection: Float32, hidden: int, random: torch.Generator) -> Head:
    """A head that gives *projection* @ x. With a hidden layer: relu(Px) - relu(-Px) = Px, and units that wait."""
    dims = len(projection)
    if not hidden:
        return Head((DenseLayer(np.ascontiguousarray(projection), np.zeros(dims, np.float32)),))
    rest = torch.randn((hidden - 2 * dims, projection.shape[1]), generator=random).numpy() * _INNER_SPREAD
    inner = np.concatenate([projection, -projection, rest]).astype(np.float32)
    outer = np.concatenate([np.eye(dims), -np.eye(dims), np.zeros((dims, len(rest)))], axis=1).astype(np.float32)
    return Head(
        (DenseLayer(inner, np.zeros(hidden, np.float32), "relu"), DenseLayer(outer, np.zeros(dims, np.float32)))
    )


def _random(source_dims: int, dims: int, hidden: int, random: torch.Generator) -> Head:
    """As `nn.Linear` begins: weights and biases uniform within 1 / sqrt(source dims)."""

    def layer(rows: int, columns: int, activation: str) -> DenseLayer:
        bound = 1 / math.sqrt(columns)
        weight, bias = (
            (torch.rand(shape, generator=random) * 2 - 1).numpy() * np.float32(bound)
            for shape in ((rows, columns), (rows,))
        )
        return DenseLayer(weight.astype(np.float32), bias.astype(np.float32), activation)

    if not hidden:
        return Head((layer(dims, source_dims, "identity"),))
    return Head((layer(hidden, source_dims, "relu"), layer(dims, hidden, "identity")))


def fit(made: HeadPairs, begin: Heads, config: HeadConfig, rate: float) -> list[HeadState]:
    """Train from *begin* with *rate*; the start and some `STATES` states, the last of them the end.

    Raises:
        TrainingFailed: the loss is no longer a number.
    """
    modules = {"query": _module(begin.query)}
    modules["passage"] = modules["query"] if begin.shared else _module(begin.passage)
    weights = list({id(each): each for role in ROLES for each in modules[role].parameters()}.values())
    per_epoch = math.ceil((len(made.pairs) - 1) / config.batch_size)
    steps = config.epochs * per_epoch
    optimizer = torch.optim.Adam(weights, lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    q, p = torch.tensor(made.queries), torch.tensor(made.passages)
    kept = {math.ceil(steps * place / STATES) for place in range(1, STATES + 1)}
    states: list[HeadState] = []
    losses: list[float] = []
    step = 0
    for epoch in range(config.epochs):
        for batch in made.batches(config.batch_size, config.seed + epoch):
            left = modules["query"](q[batch.queries])
            right = modules["passage"](p[batch.passages])
            loss = loss_of(left, right, batch, made, config)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            norm = float(torch.nn.utils.get_total_norm([each.grad for each in weights if each.grad is not None]))
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise TrainingFailed(f"the loss is {losses[-1]} at step {step} of {steps}; lower the rate ({rate:g})")
            if not states:
                states.append(HeadState(0, begin, losses[-1], norm))
            optimizer.step()
            schedule.step()
            step += 1
            if step in kept or step == steps:
                states.append(HeadState(step, _heads(modules, begin), float(np.mean(losses)), norm))
                losses = []
    return states


def loss_of(left: Tensor, right: Tensor, batch: HeadBatch, made: HeadPairs, config: HeadConfig) -> Tensor:
    """The loss of vectors that are there: (queries, dims) and (passages, dims) of *batch*."""
    return loss_named(config.loss).formula(left, right, made.together(batch), terms_of(config))


def _module(head: Head) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in head.layers:
        linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        linear.load_state_dict({"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)})
        layers += [linear, nn.ReLU()] if layer.activation == "relu" else [linear]
    return nn.Sequential(*layers)


def _heads(modules: dict[str, nn.Sequential], begin: Heads) -> Heads:
    """What the modules hold now, copied."""

    def head(module: nn.Sequential, like: Head) -> Head:
        linears: list[Any] = [each for each in module if isinstance(each, nn.Linear)]
        return Head(
            tuple(
                DenseLayer(linear.weight.detach().numpy().copy(), linear.bias.detach().numpy().copy(), layer.activation)
                for linear, layer in zip(linears, like.layers, strict=True)
            )
        )

    query = head(modules["query"], begin.query)
    return Heads(query, query if begin.shared else head(modules["passage"], begin.passage), begin.sources)
