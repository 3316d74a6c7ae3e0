"""Metrics of the recoverable window, and of sets that vanished.

The window is computed in ``backup.monitoring.window``, the records are read in ``backup.taking``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge, known_sample
from ops_platform.backup.monitoring import Window, window
from ops_platform.backup.taking import recorded_sets

_STANZA = ("stanza",)

METRICS = (
    gauge(
        "backup_recoverable_seconds",
        "Stretch of time that can be restored on the living timeline without a gap; 0 when none can.",
        _STANZA,
    ),
    gauge("backup_recoverable_promised_seconds", "The retention that backups.yaml promises.", _STANZA),
    gauge(
        "backup_recoverable_expected_seconds",
        "What the window has to be: the promise, or the time since the first recorded set.",
        _STANZA,
    ),
    gauge(
        "backup_lost_sets",
        "Recorded sets that are not in the repository, and that no cleanup of ours removed.",
        _STANZA,
    ),
    gauge(
        "backup_loss_acknowledged_timestamp_seconds",
        "When a person last acknowledged a loss of sets; 0 when nobody did.",
        _STANZA,
    ),
)


class WindowState:
    """Facts about the window of one stanza, kept for ``good_for`` seconds after each look."""

    def __init__(self, good_for: float, retention: timedelta) -> None:
        self.window: ExpiringValue[Window] = ExpiringValue(good_for)
        self.history: ExpiringValue[recorded_sets.History] = ExpiringValue(good_for)
        self.lost: ExpiringValue[int] = ExpiringValue(good_for)
        self._retention = retention

    def samples(self, stanza: str, now: float, point: float | None) -> Iterator[Sample]:
        """Yield what is known at ``now``; ``point`` is the newest moment known to be recoverable (Unix)."""
        labels = (stanza,)
        yield Sample("backup_recoverable_promised_seconds", labels, self._retention.total_seconds())
        yield from known_sample("backup_lost_sets", labels, self.lost.get())
        seen, history = self.window.get(), self.history.get()
        end = None if point is None else datetime.fromtimestamp(point, UTC)
        if seen is not None:
            yield Sample("backup_recoverable_seconds", labels, seen.seconds(end))
        if history is None:
            return
        acknowledged = 0.0 if history.acknowledged_at is None else history.acknowledged_at.timestamp()
        yield Sample("backup_loss_acknowledged_timestamp_seconds", labels, acknowledged)
        if seen is None or history.promised_from is None:
            return
        # An archive that stands still is for the RPO to tell: both ends of the comparison stand still, too.
        until = datetime.fromtimestamp(now, UTC) if seen.until is None else max(seen.until, end or seen.until)
        expected = window.expected_seconds(history.promised_from, until, self._retention)
        yield Sample("backup_recoverable_expected_seconds", labels, expected)
