"""What the checks judge: the agent's figures, Alertmanager's alerts, migrations. Each may be unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import psycopg

from ops_platform import files
from ops_platform.clients import postgres
from ops_platform.clients.alertmanager import Alertmanager, HeldAlert
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import OpsError
from ops_platform.gate.agent_figures import Figures, fetch
from ops_platform.settings import Settings

ANSWER_SECONDS = 5.0
"""Time that each source has to answer."""
T = TypeVar("T")


@dataclass(frozen=True)
class Unknown:
    """A source that did not answer; ``reason`` is one line."""

    reason: str


@dataclass(frozen=True)
class Facts:
    """All that a decision rests on, as of ``now``."""

    now: datetime
    figures: Figures | Unknown
    alerts: Sequence[HeldAlert] | Unknown
    pending_migrations: Sequence[str] | Unknown


def gather(settings: Settings, now: datetime, figures: Callable[[], Figures] | None = None) -> Facts:
    """Ask every source; one that fails leaves its part unknown. ``figures``: instead of asking the agent."""
    ask = figures or (lambda: fetch(settings.require("metrics_url"), ANSWER_SECONDS))
    return Facts(
        now, _known(ask), _known(lambda: _alerts(settings)), _known(lambda: _pending_migrations(settings))
    )


def _known(ask: Callable[[], T]) -> T | Unknown:
    try:
        return ask()
    except (OpsError, psycopg.Error) as error:
        return Unknown(describe(error))


def _alerts(settings: Settings) -> Sequence[HeldAlert]:
    client = Alertmanager(
        settings.require("alertmanager_url"), ca_file=settings.ca_file, timeout_seconds=ANSWER_SECONDS
    )
    try:
        return client.alerts()
    finally:
        client.close()


def _pending_migrations(settings: Settings) -> Sequence[str]:
    """List the migrations that this installation has and the ops database has not, or the other way round."""
    ours = {path.stem for path in (files.carried("sql") / "ops").glob("*.sql")}
    with postgres.session(settings.require("database_url")) as ops:
        theirs = {
            row["migration_id"] for row in ops.execute("SELECT migration_id FROM public._yoyo_migration")
        }
    # The product's footprint is in the ops database, too, under a bookkeeping of its own.
    return sorted(ours ^ theirs)
