"""PromQL of stanzas and their backups, however many agents export them, under whatever names."""

from __future__ import annotations

from typing import Literal

CHOSEN = 'stanza=~"$stanza"'

How = Literal["min", "max"]


def by_stanza(metric: str, keys: str = "stanza", how: How = "max", **only: str) -> str:
    """Aggregate a metric by ``keys``, over whatever other labels it has; ``only`` restricts labels."""
    return f"{how} by ({keys}) ({metric}{_inside(**only)})"


def by_kind(metric: str, how: How = "max") -> str:
    """Aggregate a metric by stanza and kind of backup."""
    return by_stanza(metric, "stanza, kind", how)


def by_scenario(metric: str, how: How = "max") -> str:
    """Aggregate a metric by stanza and scenario of an exercise."""
    return by_stanza(metric, "stanza, scenario", how)


def age(metric: str, keys: str = "stanza") -> str:
    """Compute the seconds since a metric's timestamp."""
    return f"time() - {by_stanza(metric, keys)}"


def share_of_target(target: str, measured: str) -> str:
    """Compute the share of the stanza's target that was used; ``measured`` may have more labels than it."""
    return f"{measured} / on (stanza) group_left {by_stanza(target, how='min')}"


def lacking(measured: str, expected: str) -> str:
    """Compute by how much the stanza's ``measured`` is below what is ``expected``; 0 where it is not."""
    return f"clamp_min({by_stanza(expected)} - {by_stanza(measured, how='min')}, 0)"


def share_used(free: str, size: str) -> str:
    """Compute the share of a disk that is used, 0 to 1."""
    return f"1 - {by_stanza(free, how='min')} / {by_stanza(size)}"


def limit_used(kind: str, counts_for_it: str) -> str:
    """Compute the share of its limit a kind has used; a stronger kind counts for it, as in the alert."""
    newest = f'max by (stanza) (backup_last_success_timestamp_seconds{{{CHOSEN},kind=~"{counts_for_it}"}})'
    return f"(time() - {newest}) / {by_stanza('backup_freshness_limit_seconds', kind=kind)}"


def success_share() -> str:
    """Compute the share of completed runs among those that ended in the time shown; no value without any."""
    completed, failed = (
        f"max by (stanza, kind) (increase(backup_runs_total{_inside(status=status)}[$__range]))"
        for status in ("completed", "failed")
    )
    return f"{completed} / ({completed} + {failed} > 0)"


def runs() -> str:
    """Count the runs that ended in each interval.

    A difference, for it adds up: increase() loses what happens between two windows, or counts it twice.
    The counts come from a table and never decrease.
    """
    newest = f"backup_runs_total{_inside()}"
    keys = "stanza, kind, status"
    return f"max by ({keys}) ({newest}) - max by ({keys}) ({newest} offset $__interval)"


def _inside(**only: str) -> str:
    return "{" + ",".join([CHOSEN, *(f'{name}="{text}"' for name, text in only.items())]) + "}"
