"""Composites are written here: several artifacts, copied behind one manifest, with probes of the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...artifact import Artifact, Composite, FileEntry, Manifest, Probes, write_artifact
from ...artifact import manifest as manifests
from ...artifact.composite import concatenation, two_tower
from ...artifact.layout import check_target
from ...combine import concatenate
from ...errors import ExtraMissing, RequestInvalid
from ...runtime import load_build
from ...text import ROLES
from ..hub_header import Origin, header
from .evidence import TowerEvidence, no_evidence

README: Final = "README.md"


def combine(
    artifacts: Sequence[Artifact],
    out: Path | str,
    *,
    weights: Sequence[float] | None = None,
    name: str | None = None,
    replace: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Artifact:
    """Write the concatenation of *artifacts* to the folder *out*: a new space.

    Args:
        weights: what each part's unit vectors are multiplied with; equal unless given.
        name: display name; the folder's name unless given.
        provenance: further facts for the manifest.

    Raises:
        RequestInvalid: fewer than two parts, one space twice, a composite among them, or weights that make no sense.
        ArtifactError: *out* is taken, or a part is damaged.
        ProbesFailed: a part computes other vectors than its probes say.
    """
    identity = concatenation([(each.space_id, each.manifest.identity.dims) for each in artifacts], weights)
    return _write(identity, artifacts, Path(out), name, replace, provenance or {})


def join_towers(
    query: Artifact,
    passage: Artifact,
    out: Path | str,
    *,
    evidence: TowerEvidence | None = None,
    anyway: bool = False,
    name: str | None = None,
    replace: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Artifact:
    """Write the two-tower of two encoders that were trained together; see `combine`.

    Args:
        evidence: what `measure_towers` found of these two; kept in the manifest.
        anyway: join them although nothing shows that they share a space, or although the evidence says that they do
            not. Vectors of encoders that do not share one retrieve by chance.

    Raises:
        RequestInvalid: there is no evidence, it is of other encoders, cannot tell them from chance, or shows less than
            half of what the better one does alone; and what `combine` raises.
        ArtifactError: *out* is taken, or a part is damaged.
    """
    identity = two_tower(*((each.space_id, each.manifest.identity.dims) for each in (query, passage)))
    if not anyway:
        if evidence is None:
            raise no_evidence()
        evidence.require(query, passage)
    facts = {"evidence": evidence.to_json()} if evidence is not None else {}
    return _write(identity, (query, passage), Path(out), name, replace, facts | dict(provenance or {}))


def _write(
    identity: Composite,
    artifacts: Sequence[Artifact],
    target: Path,
    name: str | None,
    replace: bool,
    provenance: Mapping[str, Any],
) -> Artifact:
    nested = next((each for each in artifacts if each.parts), None)
    if nested is not None:
        raise RequestInvalid(
            field="parts", reason=f"{nested.folder} is a composite itself; name the encoders that it is made of"
        )
    check_target(target, replace=replace)
    parts = dict(zip(identity.folders, artifacts, strict=True))
    digests = {folder: hashlib.sha256(part.listing).hexdigest() for folder, part in parts.items()}
    facts = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parts": {folder: part.manifest.name for folder, part in parts.items()},
        **provenance,
    }

    def manifest(files: Mapping[str, FileEntry]) -> Manifest:
        return Manifest(
            name=name or target.name, identity=identity, files=files, builds=(), provenance=facts, parts=digests
        )

    files = {
        manifests.PROBES: _probes(identity, artifacts).to_bytes(),
        README: _card(name or target.name, identity, parts, facts).encode("utf-8"),
    }
    return write_artifact(target, files, manifest, parts=parts, replace=replace)


def _probes(identity: Composite, artifacts: Sequence[Artifact]) -> Probes:
    """Those probes that every part has, with the composite's vectors made of the parts' fp32 references.

    A part's references are believed once its own fp32 build has computed them, where a runtime is installed.
    """
    for artifact in artifacts:
        try:
            load_build(artifact, build="fp32")
        except ExtraMissing:
            artifact.prove()
    probes = [artifact.probes() for artifact in artifacts]
    rows = [{key: row for row, key in enumerate(zip(each.texts, each.roles, strict=True))} for each in probes]
    shared = [key for key in rows[0] if all(key in others for others in rows[1:])]
    if not shared:
        raise RequestInvalid(
            field="parts", reason="their probes have no text in common; export them with one version of samespace"
        )
    chosen = [each.vectors[[row[key] for key in shared]] for each, row in zip(probes, rows, strict=True)]
    roles = tuple(role for _, role in shared)
    if identity.kind == "two_tower":
        tower = np.array([ROLES.index(role) for role in roles])
        vectors = np.where((tower == 0)[:, None], chosen[0], chosen[1])
    else:
        vectors = concatenate(chosen, [part.weight for part in identity.parts])
    return Probes(tuple(text for text, _ in shared), roles, vectors)


def _card(name: str, identity: Composite, parts: Mapping[str, Artifact], facts: Mapping[str, Any]) -> str:
    what = {
        "concatenation": "The parts' unit vectors side by side, weighted, scaled to unit length. The cosine of two "
        "such vectors is the mean of the parts' cosines, weighted by the squares of the weights.",
        "two_tower": "One encoder for queries and one for passages, which were trained together.",
    }[identity.kind]
    rows = [
        f"| {folder} | {artifact.manifest.name} | `{part.space_id}` | {part.dims} | {part.weight:g} |"
        for (folder, artifact), part in zip(parts.items(), identity.parts, strict=True)
    ]
    sources: Mapping[str, str] = facts.get("router") or facts.get("towers") or {}
    table = "\n".join(["| part | name | space | dims | weight |", "| --- | --- | --- | --- | --- |", *rows])
    top = header(Origin(), name, "samespace", tags=("onnx",))
    return (
        f"{top}# {name}\n\n"
        f"Space `{identity.space_id()}`, {identity.dims} dims, a {identity.kind.replace('_', '-')}.\n\n"
        f"{what} Vectors of this space compare with each other only, never with those of a part alone.\n\n{table}\n"
        + "".join(f"\n- {folder} is made from `{source}`." for folder, source in sources.items())
    )
