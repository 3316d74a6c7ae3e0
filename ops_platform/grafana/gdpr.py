"""The dashboard of data subjects' requests: how many, how long, and which deadline is near."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from ops_platform.grafana.page import Page
from ops_platform.grafana.panels import About, graph, value
from ops_platform.grafana.style import RED, YELLOW, Query

HOUR = 3600.0
VERIFY, FINISH = 24 * HOUR, 72 * HOUR
"""A subject has a day to confirm a request; three days after that it must be done."""
WARN, PAGE = 48 * HOUR, 66 * HOUR
"""When the alerts of the deadline come."""
CHOSEN = 'request_type=~"$request_type"'
TYPE = "{{request_type}}"


def entered(keys: str, **only: str) -> str:
    """Transitions into a status in the time shown."""
    return f"round(max by ({keys}) (increase(gdpr_requests_total{_inside(**only)}[$__range])))"


def entered_by_interval(keys: str, **only: str) -> str:
    """A difference, for it adds up: the counts come from a table and never decrease."""
    newest = f"gdpr_requests_total{_inside(**only)}"
    return f"max by ({keys}) ({newest}) - max by ({keys}) ({newest} offset $__interval)"


def worst(metric: str) -> str:
    return f"max by (request_type) ({metric}{_inside()})"


def _inside(**only: str) -> str:
    return "{" + ",".join([CHOSEN, *(f'{name}="{text}"' for name, text in only.items())]) + "}"


def page() -> Page:
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
        value(
            About(
                "Oldest open request",
                "Time since the confirmation of the oldest request that is neither completed nor failed; "
                "it is due after 72 hours.",
                "dtdurations",
                width=8,
            ),
            Query(worst("gdpr_oldest_pending_seconds"), TYPE),
            steps=((WARN, YELLOW), (PAGE, RED)),
        ),
        value(
            About(
                "Share of 72 hours that is used",
                "By the oldest open request; at 100 % the deadline is missed.",
                "percentunit",
                width=8,
            ),
            Query(f"{worst('gdpr_oldest_pending_seconds')} / {FINISH:.0f}", TYPE),
            steps=((WARN / FINISH, YELLOW), (PAGE / FINISH, RED)),
        ),
        value(
            About(
                "Failures",
                "Requests that failed in the time shown; cancelled and expired ones are not among them.",
                "none",
                width=8,
            ),
            Query(entered("request_type", status="failed"), TYPE),
            steps=((1.0, YELLOW),),
        ),
        graph(
            About(
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
        value(
            About(
                "Requests by type and state",
                "How many entered each state in the time shown.",
                "none",
                width=24,
                height=5,
            ),
            Query(entered("request_type, status"), "{{request_type}} {{status}}"),
        ),
        graph(
            About(
                "Requests over time",
                "How many entered each state in each interval.",
                "none",
            ),
            Query(entered_by_interval("request_type, status"), "{{request_type}} {{status}}"),
            bars=True,
        ),
        graph(
            About("Failures over time", "How many failed in each interval.", "none"),
            Query(entered_by_interval("request_type", status="failed"), TYPE),
            bars=True,
        ),
    ]


def _durations() -> list[Panel]:
    return [
        graph(
            About(
                "Time to verify",
                "From the request to the subject's confirmation, of the newest one confirmed.",
                "ms",
            ),
            Query(worst("gdpr_verification_duration_ms"), TYPE),
            lines=((VERIFY * 1000, YELLOW),),
        ),
        graph(
            About(
                "Time to finish",
                "From the confirmation to the end of the work, of the newest one completed.",
                "ms",
            ),
            Query(worst("gdpr_processing_duration_ms"), TYPE),
            lines=((WARN * 1000, YELLOW), (FINISH * 1000, RED)),
        ),
    ]
