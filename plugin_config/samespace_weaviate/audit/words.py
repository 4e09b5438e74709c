"""An audit's report in sentences and as HTML. Ids, counts and distances; no texts."""

from __future__ import annotations

import math
from typing import Final

from samespace.errors import short
from samespace.report import heading, histogram, note, page, paragraph, table

from .findings import AuditReport, Kind, TenantAudit
from .searchable import remarks

MOST_OFFENDERS: Final = 200
"""Rows of the HTML table; JSON has them all."""
_NEAREST: Final = 1e-14
"""Equal vectors are drawn here: a logarithm needs more than 0."""


def verdict(report: AuditReport) -> str:
    """The one sentence that matters."""
    if not report.population and not report.unread:
        return "There are no objects."
    if report.unread and not report.tenants:
        none = "its only tenant is not" if len(report.unread) == 1 else f"none of {len(report.unread)} tenants is"
        return f"Nothing was audited: {none} active."
    said = _verdict(report)
    said = f"{said[:-1]}, {report.as_read}." if report.as_read else said
    unread = f"{len(report.unread)} inactive tenant{'s were' if len(report.unread) > 1 else ' was'} NOT audited."
    return f"{said} {unread}" if report.unread else said


def _verdict(report: AuditReport) -> str:
    counted = f"{report.wrong} of the {report.sampled} objects that were looked at"
    whose = _whose(report)
    if report.sampled == report.population:
        if report.wrong:
            return f"{counted} are wrong: these are all{whose}."
        waiting = f", but {report.queued} vectors wait to be indexed" if report.queued else ""
        return f"None of all {report.sampled} objects{whose} is wrong{waiting}."
    limit = f"at most {percent(report.at_most)} of the {report.population} objects{whose} can be wrong"
    sure = f"with {percent(report.confidence)} confidence"
    if report.wrong:
        return f"{counted} are wrong; {limit}, {sure}."
    waiting = f"; {report.queued} vectors wait to be indexed" if report.queued else ""
    return f"None of the {report.sampled} objects that were looked at is wrong; {limit}, {sure}{waiting}."


def _whose(report: AuditReport) -> str:
    """Of which tenants the bound is, where there are tenants: others may be unread, or were not asked for."""
    read = [each.tenant for each in report.tenants if each.tenant]
    if not read:
        return ""
    return f" of tenant {read[0]}" if len(read) == 1 else f" of the {len(read)} tenants that were read"


def sentences(report: AuditReport) -> list[str]:
    """What else has to be known."""
    lines = []
    for kind, count in report.kinds().items():
        told = kind.words if count > 1 else kind.words.replace("have ", "has ", 1).replace("were ", "was ", 1)
        recipes = f": {_recipes(report)}" if kind is Kind.RECIPE else ""
        lines.append(f"{count} {told}{recipes}.")
    if report.coarse:
        lines.append(
            f"{report.coarse} differ more than the build that wrote most vectors would, and no more than another build "
            "of this encoder: not counted as wrong."
        )
    if disowned := [far for each in report.tenants for far in each.disowned]:
        whose = "1 object is" if len(disowned) == 1 else f"{len(disowned)} objects are"
        within = math.ceil(1000 * max(disowned)) / 1000
        lines.append(
            f"{whose} as near to the exact vector as a coarser build's may be, and not what these builds make of the "
            f"text. If another such build of this space did, --written-within {within:g} allows for it."
        )
    unseen = "a smaller drift is not seen"
    if report.witnesses:
        unseen = f"what only {report.witnesses} can have written was held against what it makes of the text"
    for builds in dict.fromkeys((each.tolerance.reader, each.tolerance.writer) for each in report.tenants):
        allowed = max(t.tolerance.allowed for t in report.tenants if (t.tolerance.reader, t.tolerance.writer) == builds)
        lines.append(
            f"Encoded again by {builds[0].build}, written by {builds[1].build} as it seems: a right vector is within "
            f"1 - cos {allowed:.2g}; {unseen}."
        )
    if report.queued:
        lines.append(
            f"{report.queued} vectors wait to be indexed (asynchronous indexing): searches miss them until then. "
            "Audit again when the queue is empty."
        )
    lines += remarks(sum(each.tied for each in report.tenants), sum(each.behind for each in report.tenants))
    if report.unsearchable:
        lines.append("Mend them with `samespace weaviate repair`, which writes their vectors into the index again.")
    if report.unread:
        shown = ", ".join(report.unread[:5]) + (" and others" if len(report.unread) > 5 else "")
        lines.append(f"Not active, and NOT audited: {shown}.")
    lines += [f"The pin itself: {finding} (see `samespace weaviate check`)." for finding in report.pin_findings]
    return lines


def tenant_rows(report: AuditReport) -> list[list[str]]:
    """For a table with the columns of `TENANT_HEAD`."""
    return [
        [
            each.tenant or "all",
            str(each.population),
            str(each.sampled),
            str(len(each.offenders)),
            percent(each.at_most(report.confidence)),
            f"{_worst(each):.1g}",
        ]
        for each in report.tenants
    ]


TENANT_HEAD: Final = ("tenant", "objects", "sampled", "wrong", "at most", "worst right")


def audit_page(report: AuditReport) -> str:
    """The report as one HTML document that opens offline."""
    bad = {offender.uuid for offender in report.offenders}
    parts = [
        note(verdict(report), "bad" if bad else "good"),
        *(paragraph(sentence) for sentence in sentences(report)),
        paragraph(
            f"Vector {report.vector} of space {report.space_id}, encoded again with {report.encoder}. The sample is "
            f"uniform: every object of a tenant had the same chance (seed {report.seed}). Bounds are exact, one-sided "
            "and for the number of objects that there are (hypergeometric); that of the whole lets those of all "
            "tenants hold together."
        ),
        heading("How far stored vectors are from right ones"),
        histogram(_distances(report), label="log10 of 1 - cos between stored and right vector"),
        paragraph(
            "To the left is agreement: below -6 is what rounding makes of an exact build. What other texts and other "
            "encoders give is near 0."
        ),
        heading("Tenants" if report.tenants and report.tenants[0].tenant else "Objects"),
        table(TENANT_HEAD, tenant_rows(report)),
    ]
    if report.shards and not (report.tenants and report.tenants[0].tenant):
        rows = [[each.name, each.node, each.objects, each.indexing] for each in report.shards]
        parts += [
            heading("Shards"),
            table(("shard", "node", "objects", "index"), rows),
            paragraph(
                "Weaviate spreads objects over shards by their ids and does not tell which is where, so there is no "
                "bound for each shard; the sample spans them all. Its counts lag behind what was written last."
            ),
        ]
    if bad:
        shown = report.offenders[:MOST_OFFENDERS]
        whose = any(offender.tenant for offender in shown)
        rows = [
            [
                o.uuid,
                *([o.tenant] if whose else []),
                o.kind.value,
                o.reason,
                "" if o.distance is None else f"{o.distance:.2g}",
            ]
            for o in shown
        ]
        head = ("object", *(["tenant"] if whose else []), "kind", "what the vector is", "distance")
        parts += [heading("What is wrong"), table(head, rows)]
        if len(shown) < report.wrong:
            parts.append(paragraph(f"{report.wrong - len(shown)} more are in the JSON report (--json)."))
    return page(f"Audit of {report.collection}, space {short(report.space_id)}", *parts)


def percent(share: float) -> str:
    """A share with two digits that tell something, or three: 0.92 %, 12.3 %."""
    value = 100.0 * share
    return f"{value:.3g} %" if value >= 10 else f"{value:.2g} %"


def _recipes(report: AuditReport) -> str:
    reasons = [each.reason for each in report.offenders if each.kind is Kind.RECIPE]
    return "; ".join(f"{reason} ({reasons.count(reason)})" for reason in dict.fromkeys(reasons))


def _worst(each: TenantAudit) -> float:
    return max((far for far in each.distances if far <= each.tolerance.allowed), default=0.0)


def _distances(report: AuditReport) -> dict[str, list[float]]:
    series: dict[str, list[float]] = {"right": [], "wrong or in doubt": []}
    for each in report.tenants:
        for far in each.distances:
            name = "right" if far <= each.tolerance.allowed else "wrong or in doubt"
            series[name].append(math.log10(max(far, _NEAREST)))
        series["wrong or in doubt"] += [math.log10(max(far, _NEAREST)) for far in each.disowned]
    return {name: values for name, values in series.items() if values}
