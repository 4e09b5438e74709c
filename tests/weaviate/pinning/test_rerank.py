"""`search --rerank`, and Weaviate's own reranker-transformers asking a reranker of ours."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.models.encoders import save_tiny_cross_encoder
from fakes.server.process import serving
from fakes.weaviate.nodes import weaviate_nodes
from samespace import Encoder, Reranker
from samespace.cli import cli
from samespace.exporting.request import ExportRequest, export_model
from samespace.reranking.pipeline import Pipeline
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create

pytestmark = pytest.mark.weaviate

QUERY = "how do i reset the password"
TEXTS = ["a user may reset the password", "the list of the index", "refund", "why is the value in the text", "a dict",
         "install the model and update the data"]  # fmt: skip
SAME = 2e-5  # of scores, between runs of one model


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of a tiny cross-encoder."""
    folder = tmp_path_factory.mktemp("reranker")
    export_model(ExportRequest(str(save_tiny_cross_encoder(folder / "model", seed=3)), folder / "artifact"))
    return folder / "artifact"


def best_first(reranker: Path) -> list[str]:
    with Reranker.load(reranker) as opened:
        return [TEXTS[each.index] for each in opened.rank(QUERY, TEXTS)]


def test_results_come_in_the_rerankers_order(tiny_artifact: Path, reranker: Path, tmp_path: Path) -> None:
    """The command and Weaviate's module give one order, that of the artifact in this process."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary:
        pytest.skip("needs a Weaviate whose environment names the reranker: set WEAVIATE_BINARY")
    with serving(tiny_artifact, reranker) as server:
        (told,) = server.told["rerankers"]
        environment = {
            "ENABLE_MODULES": "text2vec-transformers,reranker-transformers",
            "RERANKER_INFERENCE_API": f"{server.http}/e/{told['reranker_id']}",
        }
        with (
            weaviate_nodes(Path(binary), tmp_path, environment=environment) as nodes,
            Store.connect(nodes[0].address) as store,
            Encoder.connect(server.grpc) as encoder,
        ):
            create(store, CollectionSpec("Reranked", encoder.space_id, server.http))
            collection = PinnedCollection.open(store, "Reranked", encoder)
            collection.import_passages([Passage(str(place), text) for place, text in enumerate(TEXTS)])
            url = ["--url", nodes[0].url, "--grpc-port", str(nodes[0].grpc_port)]
            for named in (str(reranker), server.grpc):
                found = CliRunner().invoke(
                    cli, ["weaviate", "search", "Reranked", QUERY, *url, "--rerank", named, "--limit", "3"]
                )
                assert found.exit_code == 0, found.output
                lines = [line.strip() for line in found.stdout.splitlines()]
                assert lines[1::2] == best_first(reranker)[:3]
                pipeline = Pipeline(encoder.space_id, told["reranker_id"], "vector", 50).pipeline_id
                assert f"pipeline {pipeline}" in found.stderr
            assert by_weaviate(store, encoder) == best_first(reranker)
            refused = CliRunner().invoke(
                cli, ["weaviate", "search", "Reranked", QUERY, *url, "--rerank", str(tiny_artifact)]
            )
            assert refused.exit_code == 1 and "is an encoder" in str(refused.exception)


def by_weaviate(store: Store, encoder: Encoder) -> list[str]:
    """What Weaviate's module makes of the same search."""
    from weaviate.classes.config import Reconfigure
    from weaviate.classes.query import MetadataQuery, Rerank

    articles = store.client.collections.get("Reranked")
    articles.config.update(reranker_config=Reconfigure.Reranker.transformers())
    assert PinnedCollection.open(store, "Reranked", encoder).verify().space == encoder.space_id
    found = articles.query.near_vector(
        np.asarray(encoder.encode([QUERY], "query"))[0].tolist(),
        target_vector=f"e_{encoder.space_id[:12]}",
        limit=len(TEXTS),
        rerank=Rerank(prop="text", query=QUERY),
        return_metadata=MetadataQuery(score=True),
    )
    scores = [each.metadata.rerank_score for each in found.objects]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) > 1
    return [str(each.properties["text"]) for each in found.objects]
