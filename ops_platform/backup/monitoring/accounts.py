"""Accounts of a stanza: what was recorded and promised, held against what the repository gives.

For the checks, the status and the person who acknowledges a loss; the agent keeps the same facts in its
metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from ops_platform.backup.monitoring import archiver
from ops_platform.backup.monitoring.observation import Observation, observe
from ops_platform.backup.monitoring.window import Window, expected_seconds, restorable_window
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.taking import recorded_sets
from ops_platform.backup.taking.recorded_sets import History
from ops_platform.backup.wal import Written
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import CheckFailed, OpsError

NAMED_SETS = 5
TOLERANCE_SECONDS = 60.0
"""Times of sets are whole seconds, and the two ends are read by different looks."""


@dataclass(frozen=True)
class Accounts:
    """The sets and the window of one stanza, as records and listing have them together.

    ``lost`` and ``history`` are None while the ops database does not answer; ``unknown`` says why.
    """

    observation: Observation
    window: Window
    retention: timedelta
    lost: tuple[str, ...] | None = None
    history: History | None = None
    unknown: str | None = None

    @property
    def loss(self) -> str | None:
        """One line with the sets that vanished, without advice; None when none is known to have."""
        if not self.lost:
            return None
        return f"{len(self.lost)} recorded sets are not in the repository ({_listed(self.lost)})"

    def expected(self, point: datetime | None, now: datetime) -> float | None:
        """Compute how many seconds the window up to ``point`` has to have; None when nothing is recorded."""
        if self.history is None or self.history.promised_from is None:
            return None
        until = self.window.until
        end = now if until is None else until if point is None else max(until, point)
        return expected_seconds(self.history.promised_from, end, self.retention)

    def is_short(self, point: datetime | None, now: datetime) -> bool:
        """Tell whether less can be restored than has to be; False when what has to be is not known."""
        expected = self.expected(point, now)
        return expected is not None and self.window.seconds(point) < expected - TOLERANCE_SECONDS


def draw_up(ctx: BackupContext, written: Written | None, older_age: float = 0.0) -> Accounts:
    """Read the records, then the repository, then the records of what is missing.

    ``written`` is what the server said of its timeline, None when it was not asked; ``older_age``: see
    ``observe``.
    Raises what ``observe`` raises.
    """
    before, history, unknown = _recorded(ctx)
    observation = observe(ctx, written=written, older_age=older_age)
    lost = None
    if before is not None:
        try:
            with postgres.session(ctx.ops_url, application="ops-platform accounts") as connection:
                listed = (backup_set.label for backup_set in observation.repository.sets)
                lost = recorded_sets.lost(connection, ctx.stanza.name, before, listed)
        except (OpsError, psycopg.Error) as error:
            unknown = describe(error)
    return Accounts(
        observation,
        restorable_window(observation),
        timedelta(days=ctx.stanza.retention_days),
        lost,
        history,
        unknown,
    )


def acknowledge(ctx: BackupContext, reason: str, actor: str) -> Accounts:
    """Record that a person has seen what was lost: it is explained, and the promise begins anew.

    The new promise begins with the window that is there now. Raises CheckFailed when nothing is lost, or
    when there is nothing that a promise could begin with; OpsError when the ops database does not answer.
    """
    accounts = draw_up(ctx, archiver.written(archiver.ask(ctx), datetime.now(UTC)))
    if accounts.lost is None or accounts.history is None:
        raise OpsError(f"what was lost cannot be told ({accounts.unknown}): start the ops database")
    if accounts.window.first is None:
        raise CheckFailed("nothing can be restored now: take a full backup first, then acknowledge")
    promised = accounts.history.promised_from
    if not accounts.lost and (promised is None or promised >= accounts.window.first.completed_at):
        raise CheckFailed("nothing is lost: every recorded set is accounted for, and the window is whole")
    with postgres.session(ctx.ops_url, application="ops-platform accounts") as connection:
        recorded_sets.acknowledge(
            connection, ctx.stanza.name, accounts.lost, accounts.window.first.completed_at, reason, actor
        )
    return accounts


def _recorded(ctx: BackupContext) -> tuple[frozenset[str] | None, History | None, str | None]:
    try:
        with postgres.session(ctx.ops_url, application="ops-platform accounts") as connection:
            name = ctx.stanza.name
            return recorded_sets.expected(connection, name), recorded_sets.history(connection, name), None
    except (OpsError, psycopg.Error) as error:
        return None, None, describe(error)


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED_SETS} more" if len(labels) > NAMED_SETS else ""
    return ", ".join(labels[:NAMED_SETS]) + more
