"""benchmarks/faults.py: what the table says of a row, and what is counted."""

from __future__ import annotations

from dataclasses import asdict

from faultlab.count import Damage


def test_damage_is_anything_that_is_not_zero() -> None:
    """Every kind counts."""
    assert not Damage().any
    assert all(Damage(**{kind: 1}).any for kind in asdict(Damage()))


def test_the_table_says_what_is_left_and_what_was_not_finished() -> None:
    """Zeros are one figure; a row that broke off is no zero."""
    from faults import table

    row = {
        "key": "3/killed",
        "weaviate": "1",
        "nodes": 3,
        "fault": "killed",
        "objects": 1000,
        "verdict": "2 wrong",
        "verdict_after": "clean",
    }
    before = asdict(Damage(lost=1, brought_back=2))
    lines = table([{**row, "before": before, "after": asdict(Damage())}, {**row, "failed": "no nodes"}]).splitlines()
    assert "| 1 lost, 2 brought back | 2 wrong | 0 | clean |" in lines[2]
    assert "not finished: no nodes" in lines[3]
