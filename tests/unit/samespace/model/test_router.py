"""Routers of sentence-transformers: both routes become one artifact, with the vectors that the Router gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fakes.models.encoders import save_tiny_bert
from samespace import Encoder
from samespace.artifact import Artifact, open_artifact
from samespace.cli import cli
from samespace.errors import GateFailed, ModelUnsupported, RequestInvalid
from samespace.exporting.builds.exact import GATES
from samespace.exporting.composites import towers
from samespace.exporting.composites.towers import export_towers
from samespace.model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint, load_towers
from samespace.text import Role
from samespace.vectors import Float32, cosine_distance

TEXTS = ["reset the password", "a", "error code", "how do I flatten a list"]
PROMPTS = {"query": "find: ", "document": "text: "}


def saved(folder: Path, modules: Sequence[Any]) -> Path:
    """A folder of *modules* with `PROMPTS`."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(modules=list(modules), prompts=PROMPTS, device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def tiny(folder: Path, **options: Any) -> list[Any]:
    """The transformer and the pooling of a tiny BERT."""
    from sentence_transformers import SentenceTransformer

    return list(SentenceTransformer(str(save_tiny_bert(folder, **options)), device="cpu").children())[:2]


def router(query: Sequence[Any], document: Sequence[Any]) -> Any:
    from sentence_transformers.sentence_transformer.modules import Router

    return Router.for_query_document(list(query), list(document))


def theirs(folder: Path, texts: Sequence[str], role: Role) -> Float32:
    """What sentence-transformers gives for the folder, as unit vectors."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    encode = model.encode_query if role == "query" else model.encode_document
    return np.asarray(encode(list(texts), normalize_embeddings=True), dtype=np.float32)


def distance(folder: Path, encoders: dict[Role, Encoder]) -> float:
    """The worst 1 - cos of *encoders* to sentence-transformers, in both roles."""
    return max(
        float(cosine_distance(np.asarray(encoder.encode(TEXTS, role)), theirs(folder, TEXTS, role)).max())
        for role, encoder in encoders.items()
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two encoders that have nothing in common but their dims and a Normalize after the Router."""
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    root = tmp_path_factory.mktemp("two")
    torch.manual_seed(5)
    query = [*tiny(root / "a", seed=1, token_limit=24), Dense(32, 32), Normalize()]
    document = tiny(root / "b", seed=2, pooling="cls")
    return saved(root / "router", [router(query, document), Normalize()])


@pytest.fixture(scope="module")
def exported(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    out = tmp_path_factory.mktemp("artifacts") / "asymmetric"
    done = CliRunner().invoke(cli, ["export", str(two), str(out)], catch_exceptions=False)
    assert done.exit_code == 0 and "query/fp32" in done.stdout and "passage/fp32" in done.stdout
    return open_artifact(out)


def test_vectors_are_those_of_the_router(two: Path, exported: Artifact) -> None:
    """Queries and passages equal encode_query and encode_document, prompts included."""
    encoder = Encoder.load(exported, build="fp32")
    assert distance(two, {"query": encoder, "passage": encoder}) <= GATES["fp32"]
    one, other = (np.asarray(encoder.encode(TEXTS, role)) for role in ("query", "passage"))  # type: ignore[arg-type]
    assert cosine_distance(one, other).min() > 1e-3


def test_probes_are_those_of_the_router(two: Path, exported: Artifact) -> None:
    """Each probe that fits the limit of its tower, which sentence-transformers cuts at, has the Router's vector."""
    probes, compared = exported.probes(), 0
    roles: tuple[Role, Role] = ("query", "passage")
    for role, part in zip(roles, exported.parts, strict=True):
        tokenized = part.text_encoder().tokenize(probes.texts, role)
        rows = [r for r, text in enumerate(tokenized) if probes.roles[r] == role and len(text.windows) == 1]
        found = theirs(two, [probes.texts[row] for row in rows], role)
        assert cosine_distance(probes.vectors[rows], found).max() <= GATES["fp32"]
        compared += len(rows)
    assert compared > 20


def test_the_artifact_says_what_it_is(two: Path, exported: Artifact) -> None:
    """A two-tower of two whole encoders, with the folder's prompts and its origin, and nothing left beside it."""
    manifest = exported.manifest
    assert manifest.composite is not None and manifest.composite.kind == "two_tower"
    assert [part.manifest.name for part in exported.parts] == ["asymmetric-query", "asymmetric-passage"]
    assert exported.prompts == {"query": "find: ", "passage": "text: "}
    assert [part.recipe.token_limit for part in exported.parts] == [24, 32]
    assert manifest.provenance["router"] == {
        "query": f"{two.name} (query route)", "passage": f"{two.name} (document route)",
    }  # fmt: skip
    assert f"passage is made from `{two.name} (document route)`" in (exported.folder / "README.md").read_text()
    assert [each.name for each in exported.folder.parent.iterdir()] == ["asymmetric"]


def test_routes_of_the_same_modules_are_one_encoder(tmp_path: Path) -> None:
    """Shared or saved twice: the space of the plain folder with these prompts, and no second tower."""
    from sentence_transformers.sentence_transformer.modules import Normalize

    modules, copies = tiny(tmp_path / "a", seed=1), tiny(tmp_path / "again", seed=1)
    plain = load_checkpoint(saved(tmp_path / "plain", modules)).identity
    shared = saved(tmp_path / "shared", [router(modules, modules), Normalize()])
    (one,) = load_towers(shared)
    (merged,) = load_towers(saved(tmp_path / "copied", [router(modules, copies)]))
    assert one.identity == merged.identity == load_checkpoint(shared).identity == plain
    assert merged.source == str(tmp_path / "copied")
    encoder = CheckpointEncoder(one)
    assert distance(shared, {"query": encoder, "passage": encoder}) <= GATES["fp32"]


def test_a_router_of_heads_has_the_trunk_in_both_towers(tmp_path: Path) -> None:
    """What stands before the Router belongs to both routes, and Normalize may end a route and the folder."""
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    torch.manual_seed(5)
    heads = router([Dense(32, 16), Normalize()], [Dense(32, 16)])
    folder = saved(tmp_path / "heads", [*tiny(tmp_path / "a", seed=1), heads, Normalize()])
    query, passage = (CheckpointEncoder(tower) for tower in load_towers(folder))
    assert query.space_id != passage.space_id and query.dims == passage.dims == 16
    assert distance(folder, {"query": query, "passage": passage}) <= GATES["fp32"]


def in_config(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        path = folder / "router_config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    return changed


def retyped(kind: str) -> Callable[[Path], None]:
    return in_config(lambda config: config["types"].update(query_0_Transformer=f"sentence_transformers.{kind}"))


def module_outside(folder: Path) -> None:
    in_config(lambda config: config["types"].update({"../x": "sentence_transformers.models.Transformer"}))(folder)
    in_config(lambda config: config["structure"].update(query=["../x"]))(folder)


def outside(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../1_Normalize"
    (folder / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (in_config(lambda c: c["parameters"].update(route_mappings={"(None, 'image')": "query"})), "maps .*'image'"),
        (in_config(lambda c: c["structure"].update(image=["query_1_Pooling"])), "routes query, document, image"),
        (in_config(lambda c: c["structure"].pop("query")), "has the routes document"),
        (in_config(lambda c: c["structure"].update(query=["absent"])), "is incomplete: KeyError"),
        (in_config(lambda c: c.pop("parameters")), "is incomplete"),
        (in_config(lambda c: c["structure"].update(query=[])), r"query route.*has modules"),
        (
            retyped("sentence_transformer.modules.StaticEmbedding"),
            r"query route.*one StaticEmbedding has to come first",
        ),
        (retyped("base.modules.Router"), r"Router is not one"),
        (module_outside, r"outside its folder: \.\./x"),
        (outside, r"outside its folder: \.\./1_Normalize"),
    ],
)
def test_other_routers_are_refused_by_name(
    two: Path, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    """By modality, more or other routes, modules that are not known, damaged ones: the reason, before any weight."""
    folder = Path(shutil.copytree(two, tmp_path / "router", ignore=shutil.ignore_patterns("*.safetensors")))
    change(folder)
    with pytest.raises(ModelUnsupported, match=reason):
        load_towers(folder)


def test_what_makes_no_sense_for_two_towers_is_refused(two: Path, tmp_path: Path) -> None:
    """A pooling, a transform, int8, one encoder where there are two, routes of unlike dims."""
    from sentence_transformers.sentence_transformer.modules import Dense

    with pytest.raises(ModelUnsupported, match="each of its routes has a pooling of its own; mean was asked for"):
        load_towers(two, Overrides(pooling="mean"))
    with pytest.raises(ModelUnsupported, match="samespace export joins them"):
        load_checkpoint(two)
    arguments = ["export", str(two), str(tmp_path / "out")]
    for more, reason in (
        (["--transform", "t"], "--transform: .* is a Router"),
        (["--build", "int8"], "int8 of two towers"),
    ):
        refused = CliRunner().invoke(cli, [*arguments, *more])
        assert isinstance(refused.exception, RequestInvalid) and not (tmp_path / "out").exists()
        with pytest.raises(RequestInvalid, match=reason):
            raise refused.exception
    modules = tiny(tmp_path / "a", seed=1)
    unlike = saved(tmp_path / "unlike", [router([*modules, Dense(32, 8)], modules)])
    with pytest.raises(ModelUnsupported, match="8 dims for queries and 32 for documents"):
        load_towers(unlike)


def test_a_refused_tower_leaves_nothing(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second tower misses its gate: neither half an artifact nor the first tower stays."""

    def gated(_: object, out: Path, **__: object) -> object:
        if out.name == "passage":
            assert (out.parent / "query" / "manifest.json").exists()
            raise GateFailed(build="fp32", measure="1 - cos to torch", measured=1e-3, gate=1e-6)
        out.mkdir()
        (out / "manifest.json").write_text("{}")
        return object()

    monkeypatch.setattr(towers, "export_artifact", gated)
    with pytest.raises(GateFailed):
        export_towers(load_towers(two), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
