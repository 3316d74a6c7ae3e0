"""PromQL of stanzas and their backups; however many agents export them and whatever they are called."""

from __future__ import annotations

from typing import Literal

CHOSEN = 'stanza=~"$stanza"'

How = Literal["min", "max"]


def known(metric: str, keys: str = "stanza", how: How = "max", **only: str) -> str:
    return f"{how} by ({keys}) ({metric}{_inside(**only)})"


def by_kind(metric: str, how: How = "max") -> str:
    return known(metric, "stanza, kind", how)


def by_scenario(metric: str, how: How = "max") -> str:
    return known(metric, "stanza, scenario", how)


def age(metric: str, keys: str = "stanza") -> str:
    return f"time() - {known(metric, keys)}"


def of_its(target: str, measured: str) -> str:
    """Which share of the stanza's target was needed; ``measured`` may have more labels than the stanza."""
    return f"{measured} / on (stanza) group_left {known(target, how='min')}"


def used(kind: str, counts_for_it: str) -> str:
    """Which share of its limit a kind has used; a stronger kind counts for a weaker one, as for the alert."""
    newest = f'max by (stanza) (backup_last_success_timestamp_seconds{{{CHOSEN},kind=~"{counts_for_it}"}})'
    return f"(time() - {newest}) / {known('backup_freshness_limit_seconds', kind=kind)}"


def succeeded() -> str:
    """Share of the completed runs among those that ended in the time shown; nothing where none did."""
    completed, failed = (
        f"max by (stanza, kind) (increase(backup_runs_total{_inside(status=one)}[$__range]))"
        for one in ("completed", "failed")
    )
    return f"{completed} / ({completed} + {failed} > 0)"


def runs() -> str:
    """Runs that ended in each interval.

    A difference, for it adds up: increase() loses what happens between two windows, or counts it twice.
    The counts come from a table and never decrease.
    """
    newest = f"backup_runs_total{_inside()}"
    keys = "stanza, kind, status"
    return f"max by ({keys}) ({newest}) - max by ({keys}) ({newest} offset $__interval)"


def _inside(**only: str) -> str:
    return "{" + ",".join([CHOSEN, *(f'{name}="{text}"' for name, text in only.items())]) + "}"
