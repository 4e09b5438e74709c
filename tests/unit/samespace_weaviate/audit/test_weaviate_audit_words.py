"""samespace_weaviate.audit.words: the report for people says what has to be known, and no texts."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID
from xml.etree import ElementTree

import pytest

from samespace_weaviate.audit import AuditReport, Kind, Offender, Shard, TenantAudit
from samespace_weaviate.audit.tolerance import Bound, Tolerance
from samespace_weaviate.audit.words import audit_page, percent, sentences, tenant_rows, verdict

FP32, INT8 = Bound("fp32", 1e-6), Bound("int8", 0.02)
CLEAN = AuditReport(
    collection="Article",
    vector="e_aaaaaaaaaaaa",
    space_id="a" * 64,
    encoder="pydoc (fp32)",
    confidence=0.99,
    seed=7,
    tenants=(TenantAudit("", 100_000, 500, (), 0, Tolerance(FP32, FP32, INT8), (0.0,) + (1e-12,) * 499),),
    shards=(Shard("x1", "node1", 100_000, "READY"),),
)
OFFENDERS = tuple(
    Offender(UUID(int=number), "", kind, reason, distance)
    for number, (kind, reason, distance) in enumerate(
        [(Kind.RECIPE, "in lower case", 0.1), (Kind.MISSING, "no vector", None), (Kind.RECIPE, "in lower case", 0.2)]
    )
)
WRONG = replace(CLEAN, tenants=(replace(CLEAN.tenants[0], offenders=OFFENDERS, coarse=2),))


def test_the_verdict_states_the_bound() -> None:
    """What was looked at, what was found, and what cannot be ruled out."""
    assert verdict(CLEAN) == (
        "None of the 500 objects that were looked at is wrong; at most 0.91 % of the 100000 objects can be wrong, "
        "with 99 % confidence."
    )
    assert verdict(WRONG).startswith("3 of the 500 objects that were looked at are wrong; at most 2 % of")


def test_nothing_is_left_to_chance_where_all_were_looked_at() -> None:
    """Then there is no confidence to speak of."""
    (tenant,) = CLEAN.tenants
    everything = replace(CLEAN, tenants=(replace(tenant, population=500),))
    assert verdict(everything) == "None of all 500 objects is wrong."


def test_inactive_tenants_are_in_the_verdict_itself() -> None:
    """Where all are inactive nothing was seen, which is not clean."""
    assert verdict(replace(CLEAN, unread=("a", "b"))).endswith(". 2 inactive tenants were NOT audited.")
    none = replace(CLEAN, tenants=(), unread=("a",))
    assert verdict(none) == "Nothing was audited: its only tenant is not active."
    assert verdict(replace(none, unread=("a", "b"))) == "Nothing was audited: none of 2 tenants is active."
    assert not none.clean and replace(CLEAN, tenants=()).clean


def test_a_bound_over_tenants_is_of_those_that_were_read() -> None:
    """Others are inactive, or were not asked for (--tenant): "none of all objects" was not about them."""
    (whole,) = CLEAN.tenants
    one = replace(CLEAN, tenants=(replace(whole, tenant="a", population=500),), unread=("cold",))
    assert verdict(one).startswith("None of all 500 objects of tenant a is wrong. 1 inactive tenant was NOT audited")
    two = replace(one, tenants=(replace(whole, tenant="a"), replace(whole, tenant="b")))
    assert "of the 200000 objects of the 2 tenants that were read can be wrong" in verdict(two)
    wrong = replace(one, tenants=(replace(one.tenants[0], offenders=OFFENDERS),))
    assert "are wrong: these are all of tenant a." in verdict(wrong)


def test_kinds_recipes_and_what_was_not_audited_are_told() -> None:
    """Each kind once, with how often; tenants that were not read are not passed over in silence."""
    told = sentences(replace(WRONG, unread=("a", "b"), pin_findings=("unsafe: no inferenceUrl",)))
    assert told[0] == "2 were encoded from another text than the pin declares: in lower case (2)."
    assert told[1] == "1 has a text and no vector."
    assert told[2].startswith("2 differ more than the build that wrote")
    assert "within 1 - cos 4e-06" in told[3]
    assert "Not active, and NOT audited: a, b." in told
    assert told[-1].startswith("The pin itself: unsafe: no inferenceUrl")


@pytest.mark.parametrize("report", [CLEAN, WRONG, replace(CLEAN, tenants=())])
def test_the_page_is_a_whole_document(report: AuditReport) -> None:
    """Every tag is closed; each wrong object, the shards and the bound are in it."""
    html = audit_page(report)
    ElementTree.fromstring(html.partition("</head>")[2].removesuffix("</html>\n").strip())
    assert verdict(report) in html.replace("&#x27;", "'")
    assert all(str(offender.uuid) in html for offender in report.offenders)
    assert "x1" in html


def test_tables_have_a_row_for_each_tenant() -> None:
    """With its own bound, and the farthest of the right vectors."""
    assert tenant_rows(CLEAN) == [["all", "100000", "500", "0", "0.91 %", "1e-12"]]


@pytest.mark.parametrize(
    ("share", "told"), [(0, "0 %"), (1, "100 %"), (0.009168, "0.92 %"), (0.12345, "12.3 %"), (0.00001234, "0.0012 %")]
)
def test_small_shares_keep_two_digits(share: float, told: str) -> None:
    """0.00 % would say that nothing can be wrong."""
    assert percent(share) == told
