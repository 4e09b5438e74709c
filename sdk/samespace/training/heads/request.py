"""`samespace train-head` and `samespace align` as functions: encoders and data in, one artifact (or one head) out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...artifact.layout import check_target
from ...errors import RequestInvalid
from ...exporting.composites.towers import export_towers
from ...exporting.package import Exported
from ...folders import writes
from ...model.checkpoint import Checkpoint, Overrides, load_checkpoint
from ...model.folder.saving import require_savable
from ...progress import Progress, silent
from ...text import ROLES, Role
from ..joint.config import JointConfig
from ..joint.tuning import TunedTowers, tune
from .config import HeadConfig
from .data import HeadData, of_texts
from .frozen import FrozenEncoder, default_cache, open_frozen
from .run import Say, TrainedHead, check_head_target, export_trained, train_head
from .vectors import of_vectors

Show = Callable[[TrainedHead], None]
ShowTowers = Callable[[TunedTowers], None]


@dataclass(frozen=True, slots=True)
class HeadRequest:
    """What is to be trained, and where it goes.

    Attributes:
        data: what `samespace train` takes; for `train_on_vectors` a folder of vectors.
        out: folder of the artifact, or of the head.
        config: how it is trained.
        allow_leakage: "none", "passages" or "all": held-out texts that may be trained on.
        cache: folder of vectors that were computed already; None for the user's own.
        name: display name; None for that of *out*.
        replace: put it in place of what is at *out*.
        overrides: which encoder a checkpoint is.
        drop_leaks: leave out the training pairs that leak, instead of stopping.
    """

    data: Path
    out: Path
    config: HeadConfig = field(default_factory=HeadConfig)
    allow_leakage: str = "none"
    cache: Path | None = None
    name: str | None = None
    replace: bool = False
    overrides: Overrides = field(default_factory=Overrides)
    drop_leaks: bool = False


@writes("wanted.out")
def train_on_encoder(
    encoder: str,
    wanted: HeadRequest,
    *,
    progress: Progress = silent,
    say: Say = lambda _: None,
    show: Show = lambda _: None,
) -> Exported:
    """Train a head on *encoder*, an artifact, a model folder or a hub name; *show* gets it before it is exported.

    Raises:
        ArtifactError: the folder is taken, or the encoder's artifact cannot be trusted.
        ConfigInvalid, DataInvalid, ModelUnsupported, TrainingFailed: see `open_frozen`, `of_texts` and `train_head`.
        GateFailed: the graph with the head does not agree with its reference: nothing is written.
    """
    check_target(wanted.out, replace=wanted.replace)
    say(f"Reading {encoder} and {wanted.data}.")
    frozen = open_frozen(encoder, wanted.overrides, cache=wanted.cache or default_cache())
    encoders = dict.fromkeys(ROLES, frozen)
    loaded = of_texts(wanted.data, encoders, progress, allow_leakage=wanted.allow_leakage, drop_leaks=wanted.drop_leaks)
    say(f"{frozen.encoded} texts encoded, the others were in the cache.")
    _tell_dropped(loaded, say)
    trained = train_head(loaded, wanted.config, progress)
    show(trained)
    return export_trained(trained, encoders, wanted.out, name=wanted.name, replace=wanted.replace, say=say)


@writes("wanted.out")
def train_on_vectors(
    wanted: HeadRequest, space: str | None = None, *, progress: Progress = silent, show: Show = lambda _: None
) -> TrainedHead:
    """Train a head on vectors that somebody else made, and write it alone, for `samespace.heads.load_heads`.

    Args:
        space: the space id of the vectors, where it is known.

    Raises:
        ArtifactError: the folder is taken.
        ConfigInvalid, DataInvalid, TrainingFailed: see `of_vectors` and `train_head`.
    """
    check_head_target(wanted.out, replace=wanted.replace)
    trained = train_head(of_vectors(wanted.data, space), wanted.config, progress)
    show(trained)
    trained.heads.save(wanted.out, record=trained.record(), replace=wanted.replace)
    return trained


@writes("wanted.out")
def align_encoders(
    query: str,
    passage: str,
    wanted: HeadRequest,
    *,
    progress: Progress = silent,
    say: Say = lambda _: None,
    show: Show = lambda _: None,
    joint: JointConfig | None = None,
    show_towers: ShowTowers = lambda _: None,
) -> Exported:
    """Bring two encoders into one space, by a head on each: one two-tower. Raises as `train_on_encoder` does.

    Args:
        joint: how the encoders themselves are trained after that; None leaves them as they are.
        show_towers: gets what came of it, before it is exported.

    Raises:
        RequestInvalid: both encoders are of one space already, or are to be trained and one of them is an artifact.
        ModelUnsupported: an encoder that is to be trained could not be saved.
    """
    check_target(wanted.out, replace=wanted.replace)
    say(f"Reading {query}, {passage} and {wanted.data}.")
    opened = [open_frozen(each, cache=wanted.cache or default_cache()) for each in (query, passage)]
    if opened[0].space_id == opened[1].space_id:
        raise RequestInvalid(
            field="PASSAGE_ENCODER",
            reason=f"is of space {opened[0].space_id} as QUERY_ENCODER is: their vectors can be compared already. "
            "samespace train-head --separate gives each role a head of its own",
        )
    encoders = dict(zip(ROLES, opened, strict=True))
    trainable = {} if joint is None else _trainable(encoders)
    loaded = of_texts(wanted.data, encoders, progress, allow_leakage=wanted.allow_leakage, drop_leaks=wanted.drop_leaks)
    _tell_dropped(loaded, say)
    trained = train_head(loaded, wanted.config, progress)
    dims = [each.dims for each in opened]
    if dims[0] != dims[1]:
        say(f"before: cannot be compared, {dims[0]} and {dims[1]} dims.")
    show(trained)
    if joint is not None:
        with tempfile.TemporaryDirectory(prefix="samespace-joint-") as work:
            tuned = tune(loaded, trainable, trained.heads, joint, Path(work), progress)
            show_towers(tuned)
            if tuned.taken.folders is not None:
                return _export_tuned(tuned, trained, wanted, say)
    return export_trained(trained, encoders, wanted.out, name=wanted.name, replace=wanted.replace, say=say)


def _trainable(encoders: Mapping[Role, FrozenEncoder]) -> dict[Role, Checkpoint]:
    """The checkpoints of *encoders*, before anything is computed that would be lost."""
    found: dict[Role, Checkpoint] = {}
    for role, encoder in encoders.items():
        if not isinstance(encoder.source, Checkpoint):
            raise RequestInvalid(
                field=f"{role.upper()}_ENCODER",
                reason=f"{encoder.name} is an artifact, whose graph cannot be trained; --joint takes the model folders "
                "(or hub names) that artifacts are exported from",
            )
        require_savable(encoder.source)
        found[role] = encoder.source
    return found


def _export_tuned(tuned: TunedTowers, trained: TrainedHead, wanted: HeadRequest, say: Say) -> Exported:
    folders = tuned.taken.folders
    assert folders is not None
    facts = {"head": trained.record(), "joint": tuned.record()}
    towers = [load_checkpoint(str(folders[role])) for role in ROLES]
    return export_towers(
        towers, wanted.out, name=wanted.name, anyway=True, replace_existing=wanted.replace, provenance=facts,
        joined_as="towers", say=say,
    )  # fmt: skip


def _tell_dropped(loaded: HeadData, say: Say) -> None:
    if dropped := loaded.record["dropped_leaks"]:
        say(f"{dropped} training pairs were left out: they give held-out texts away.")
