"""Two encoders that belong together as one artifact: each exported and gated by itself, then joined.

A Router's folder says that its two routes do. Of any others somebody has to say it, as of `join_towers`: by evidence
that was measured, or by insisting, as is right for two heads that were trained together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...artifact import Artifact
from ...artifact.layout import check_target
from ...errors import RequestInvalid
from ...folders import folder_beside, writes
from ...model.checkpoint import Checkpoint
from ...model.exportable import BringsGraph
from ...text import ROLES, Role
from ..package import Exported, Say, export_artifact
from ..provenance import public_name, record_of, require_better
from .concatenate import join_towers
from .evidence import no_evidence


@writes("out")
def export_towers(
    towers: Sequence[Checkpoint | BringsGraph],
    out: Path | str,
    *,
    name: str | None = None,
    builds: tuple[str, ...] = ("fp32",),
    anyway: bool = False,
    replace_existing: bool = False,
    provenance: Mapping[str, Any] | None = None,
    joined_as: str = "router",
    say: Say = lambda _: None,
) -> Exported:
    """Export two encoders that belong together into the folder *out*; see `package.export_artifact`.

    Args:
        towers: that of queries, that of passages: what `load_towers` gave, or two encoders with a head each.
        anyway: join them although they are no routes of one Router, and export them although their training record says
            that they are not better than their base.
        joined_as: what they were before, as provenance names it: a "router", or "towers" of two heads.

    Returns:
        The artifact of both; reports of both, their builds named "query/fp32" and so on.

    Raises:
        RequestInvalid: int8, whose gate needs a score, which one tower alone does not have; not routes of one Router;
            or not better than their base.
        GateFailed: a tower does not agree with torch: nothing is written.
        ArtifactError: *out* is taken.
    """
    facts = _checked(towers, builds, anyway) | dict(provenance or {})
    target = Path(out)
    check_target(target, replace=replace_existing)
    shown = name or target.name
    with folder_beside(target) as work:
        exported = [
            export_artifact(
                tower,
                work / role,
                name=f"{shown}-{role}",
                builds=builds,
                anyway=True,  # asked above, once for both
                say=_naming(role, say),
            )
            for role, tower in zip(ROLES, towers, strict=True)
        ]
        say("Joining both as one artifact.")
        facts = {joined_as: {role: public_name(each.source) for role, each in zip(ROLES, towers, strict=True)}} | facts
        artifact = join_towers(
            exported[0].artifact,
            exported[1].artifact,
            target,
            anyway=True,  # asked above too
            name=name,
            replace=replace_existing,
            provenance=facts,
        )
    return _both(artifact, exported)


def _checked(towers: Sequence[Checkpoint | BringsGraph], builds: Sequence[str], anyway: bool) -> dict[str, Any]:
    """The training record of the towers, which may be joined and exported."""
    if "int8" in builds:
        raise RequestInvalid(
            field="build",
            reason="int8 of two towers: it is gated by what it loses in nDCG@10, and neither of the two encoders finds "
            "anything alone. fp32, bf16 and fp16 are gated by their vectors: leave int8 out",
        )
    query, passage = towers
    facts = record_of(query)
    require_better(facts, _router_of(query) or query.source, anyway=anyway)
    if not anyway and (not _router_of(query) or _router_of(query) != _router_of(passage)):
        raise no_evidence()
    return facts


def _both(artifact: Artifact, exported: Sequence[Exported]) -> Exported:
    return Exported(
        artifact,
        tuple(
            replace(report, build=f"{role}/{report.build}")
            for role, each in zip(ROLES, exported, strict=True)
            for report in each.reports
        ),
        tuple(error for each in exported for error in each.refused),
    )


def _router_of(tower: Checkpoint | BringsGraph) -> str:
    return tower.router if isinstance(tower, Checkpoint) else ""


def _naming(role: Role, say: Say) -> Say:
    return lambda sentence: say(f"{role}: {sentence}")
