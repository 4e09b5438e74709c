"""Grafana's dashboard and the autoscaler: every metric that they ask for is one that the server has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.deployment import alerts, dashboard, manifest
from samespace_server.observing.telemetry import Telemetry

OF_PROMETHEUS = {"instance", "le"}  # labels that the server does not write
SPACE = "a" * 64


@pytest.fixture(scope="module")
def samples() -> dict[str, set[str]]:
    """Name -> labels of every sample that a server of one space has once it has answered each kind of request."""
    telemetry = Telemetry()
    meters = telemetry.of_space(SPACE)
    meters.refuse("Overloaded")
    meters.ran(rows=1, tokens=1, padded=1)
    telemetry.requests.labels("a", "b", "ok").inc()
    for attribute in vars(telemetry).values():
        names = getattr(attribute, "_labelnames", ())
        if names and not getattr(attribute, "_metrics", True):
            attribute.labels(*names)
    telemetry.watch(_spaces(), lambda: 0)
    return {sample.name: set(sample.labels) for family in telemetry.families() for sample in family.samples}


def _spaces() -> Any:
    manifest = SimpleNamespace(name="tiny")
    loaded = SimpleNamespace(
        artifact=SimpleNamespace(manifest=manifest), build_name="fp32", runtime="r", precision="fp32", worst=0.0
    )
    engine = SimpleNamespace(loaded=loaded, space_id=SPACE)

    class One:
        at_work, ready = 0, True

        def __iter__(self) -> Iterator[Any]:
            return iter([engine])

        def is_ready(self, engine: Any) -> bool:
            return True

    return One()


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    variables = [each["query"]["query"] for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    (scaled,) = manifest("HorizontalPodAutoscaler")["spec"]["metrics"]
    told = [alert["expr"] for alert in alerts()]
    return [*found, *variables, *told, scaled["pods"]["metric"]["name"]]


def test_alerts_have_words() -> None:
    """Each says how bad it is, and what is wrong in a sentence."""
    for alert in alerts():
        assert alert["labels"]["severity"] in ("page", "warn")
        assert alert["annotations"]["summary"][-1] in ".?"
    assert any("loop_lag" in alert["expr"] for alert in alerts())


def test_there_is_something_to_see() -> None:
    """Queue, latency by stage, batches, padding and refusals each have a panel."""
    asked = " ".join(expressions())
    for metric in (
        "queued_tokens",
        "stage_seconds_bucket",
        "batch_rows",
        "padding_tokens",
        "refused",
        "request_seconds",
    ):
        assert f"samespace_{metric}" in asked


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_exists(expression: str, samples: dict[str, set[str]]) -> None:
    """A name that the server does not write would be an empty panel, or an autoscaler that never scales."""
    names = set(re.findall(r"(?:samespace|process)_[a-z_]+", expression))
    assert names
    assert names <= set(samples)


@pytest.mark.parametrize("expression", expressions())
def test_every_label_exists(expression: str, samples: dict[str, set[str]]) -> None:
    """What a metric is filtered or grouped by is a label of it."""
    for name, selector in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
        used = set(re.findall(r"([a-z_]+)(?:=~|!=|=)", selector)) - OF_PROMETHEUS
        assert used <= samples[name], name
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    for name in re.findall(r"samespace_[a-z_]+", expression):
        assert grouped - OF_PROMETHEUS <= samples[name], name


def test_panels_do_not_overlap_and_have_words() -> None:
    """Each has its own place on the grid, an id of its own, and a sentence about what it shows."""
    cells = Counter(
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in dashboard()["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    )
    assert max(cells.values()) == 1
    assert max(x for x, _ in cells) == 23
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
