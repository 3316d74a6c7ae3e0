"""Why a selector selects nothing: a wrong name, a wrong matcher, or series that are gone."""

from __future__ import annotations

import difflib
from datetime import datetime

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.objectives import Selector, format_bound
from ops_platform.slo.source_check import recent_series
from ops_platform.slo.source_check.finding import Finding

MOST = 5
"""Values that a message names."""


def causes(source: Prometheus, role: str, selector: Selector, at: datetime) -> list[Finding]:
    """Say why the selector has no series in the hour before ``at``; nothing when it has some.

    ``role``: good, bad or total. Raises Unavailable.
    """
    if recent_series.values(source, "job", selector, at):
        return []
    # Errors that have not happened yet have no series.
    rare = role == "bad"
    if recent_series.ever(source, "__name__", selector.query, at):
        if rare:
            return []
        return [
            Finding(
                f"{role}: {selector} was stored once, and not in the last hour",
                "does the service run, and is it scraped?",
            )
        ]
    if not recent_series.ever(source, "__name__", selector.metric, at):
        return [_unknown_name(source, role, selector, at)]
    return [_no_match(source, role, selector, at, blocking=not rare)]


def _unknown_name(source: Prometheus, role: str, selector: Selector, at: datetime) -> Finding:
    names = recent_series.ever(source, "__name__", '{__name__=~".+"}', at)
    near = difflib.get_close_matches(selector.metric, names, n=3, cutoff=0.75)
    return Finding(
        f"{role}: no series called {selector.metric} was ever stored here",
        f"is it {' or '.join(near)}?" if near else "is it scraped, and spelt like this?",
    )


def _no_match(source: Prometheus, role: str, selector: Selector, at: datetime, *, blocking: bool) -> Finding:
    for matcher in selector.matchers:
        present = recent_series.ever(source, matcher.name, selector.metric, at)
        if not present and not matcher.fits(""):
            return Finding(
                f"{role}: series of {selector.metric} have no label {matcher.name}",
                f"take {matcher} out, or name a label that they have",
            )
        if not any(matcher.fits(value) for value in [*present, ""]):
            shown = ", ".join(sorted(present)[:MOST])
            more = f" and {len(present) - MOST} more" if len(present) > MOST else ""
            return Finding(
                f"{role}: {matcher} fits no series of {selector.metric}, whose {matcher.name} is "
                f"{shown}{more}",
                "correct it" if blocking else "correct it, unless nothing bad has ever happened here",
                blocking,
            )
    if selector.bound is not None:
        buckets = recent_series.ever(source, "le", Selector(selector.metric, selector.matchers).query, at)
        return Finding(
            f"{role}: there is no bucket {format_bound(selector.bound)} of {selector.metric}",
            f"name one of those that there are: {', '.join(sorted(buckets, key=float))}"
            if buckets
            else "correct a matcher: nothing fits them, with any bucket",
        )
    return Finding(
        f"{role}: no series of {selector.metric} fits all of {selector}",
        "correct a matcher" if blocking else "correct a matcher, unless nothing bad has ever happened here",
        blocking,
    )
