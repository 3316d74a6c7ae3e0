"""The dashboard of data subjects' requests: their number, duration and nearest deadline."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from ops_platform.grafana.page import Page
from ops_platform.grafana.panels import PanelSpec, current_value, graph
from ops_platform.grafana.style import RED, YELLOW, Query

HOUR = 3600.0
VERIFY, FINISH = 24 * HOUR, 72 * HOUR
"""Seconds: a subject has a day to confirm a request; three days after that it must be done."""
WARN, PAGE = 48 * HOUR, 66 * HOUR
"""Seconds after the confirmation at which the deadline's alerts fire."""
CHOSEN = 'request_type=~"$request_type"'
TYPE = "{{request_type}}"


def entered(keys: str, **only: str) -> str:
    """Count the transitions into a status in the time shown."""
    return f"round(max by ({keys}) (increase(gdpr_requests_total{_inside(**only)}[$__range])))"


def entered_by_interval(keys: str, **only: str) -> str:
    """Count the transitions in each interval: a difference, for it adds up.

    The counts come from a table and never decrease.
    """
    newest = f"gdpr_requests_total{_inside(**only)}"
    return f"max by ({keys}) ({newest}) - max by ({keys}) ({newest} offset $__interval)"


def worst(metric: str) -> str:
    """Take the largest value of each type of request."""
    return f"max by (request_type) ({metric}{_inside()})"


def _inside(**only: str) -> str:
    return "{" + ",".join([CHOSEN, *(f'{name}="{text}"' for name, text in only.items())]) + "}"


def page() -> Page:
    """Lay out the dashboard."""
    return Page(
        uid="ops-gdpr",
        title="Data subject requests",
        text="Erasures and exports: how many there are, how long they take, which may miss its 72 hours.",
        since="now-30d",
        choices={"request_type": "label_values(gdpr_requests_total, request_type)"},
        pages={"Metrics": "metrics.md"},
        rows={
            "Deadlines": _deadlines(),
            "Requests": _requests(),
            "Durations": _durations(),
        },
    )


def _deadlines() -> list[Panel]:
    return [
        current_value(
            PanelSpec(
                "Oldest open request",
                "Time since the confirmation of the oldest request that is neither completed nor failed; "
                "it is due after 72 hours.",
                "dtdurations",
                width=8,
            ),
            Query(worst("gdpr_oldest_pending_seconds"), TYPE),
            steps=((WARN, YELLOW), (PAGE, RED)),
        ),
        current_value(
            PanelSpec(
                "Share of 72 hours that is used",
                "By the oldest open request; at 100 % the deadline is missed.",
                "percentunit",
                width=8,
            ),
            Query(f"{worst('gdpr_oldest_pending_seconds')} / {FINISH:.0f}", TYPE),
            steps=((WARN / FINISH, YELLOW), (PAGE / FINISH, RED)),
        ),
        current_value(
            PanelSpec(
                "Failures",
                "Requests that failed in the time shown; cancelled and expired ones are not among them.",
                "none",
                width=8,
            ),
            Query(entered("request_type", status="failed"), TYPE),
            steps=((1.0, YELLOW),),
        ),
        graph(
            PanelSpec(
                "Deadline risk",
                "Time since the confirmation of the oldest open request; lines at 48 hours, when a warning "
                "comes, and 72.",
                "s",
                width=24,
            ),
            Query(worst("gdpr_oldest_pending_seconds"), TYPE),
            lines=((WARN, YELLOW), (FINISH, RED)),
        ),
    ]


def _requests() -> list[Panel]:
    return [
        current_value(
            PanelSpec(
                "Requests by type and state",
                "How many entered each state in the time shown.",
                "none",
                width=24,
                height=5,
            ),
            Query(entered("request_type, status"), "{{request_type}} {{status}}"),
        ),
        graph(
            PanelSpec(
                "Requests over time",
                "How many entered each state in each interval.",
                "none",
            ),
            Query(entered_by_interval("request_type, status"), "{{request_type}} {{status}}"),
            bars=True,
        ),
        graph(
            PanelSpec("Failures over time", "How many failed in each interval.", "none"),
            Query(entered_by_interval("request_type", status="failed"), TYPE),
            bars=True,
        ),
    ]


def _durations() -> list[Panel]:
    return [
        graph(
            PanelSpec(
                "Time to verify",
                "From the request to the subject's confirmation, of the newest one confirmed.",
                "ms",
            ),
            Query(worst("gdpr_verification_duration_ms"), TYPE),
            lines=((VERIFY * 1000, YELLOW),),
        ),
        graph(
            PanelSpec(
                "Time to finish",
                "From the confirmation to the end of the work, of the newest one completed.",
                "ms",
            ),
            Query(worst("gdpr_processing_duration_ms"), TYPE),
            lines=((WARN * 1000, YELLOW), (FINISH * 1000, RED)),
        ),
    ]
