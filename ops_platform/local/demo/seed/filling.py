"""Seeding of a product database that has the schema of ``sql/demo``: deterministic and resumable.

The same scale gives the same rows, byte for byte, on any server and at any time; everything
happened before ``plan.BASE_TIME``. Each step is one transaction that also writes its marker
into ``demo_seed_progress``: a seed that was killed goes on where it stopped, and a second one
finds nothing to do. Objects and cache keys are in ``media_objects`` and ``cache_keys``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import why
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.local.demo.seed import media_objects
from ops_platform.local.demo.seed.plan import MONTHS, Plan, plan
from ops_platform.local.demo.seed.statements import FUNCTIONS, Step, month_start, parameters, steps, text

if TYPE_CHECKING:
    from ops_platform.clients.object_store import ObjectStore

Progress = Callable[[str, float], None]
"""Called with the name of the step that was just done and the done fraction of all, 0 to 1."""

LOCK = "demo/seed"
_TABLES = (
    "creators", "profiles", "follows", "sessions", "Billing Details", "posts", "comments", "media",
    "collaborations", "usage_logs", "workflows", "workflow_steps", "webhooks", "webhook_deliveries",
    "audit_logs", "ledger_entries", "creator_stats",
)  # fmt: skip
_TIDY = "vacuum"
_OBJECTS = "objects"


class SeedError(OpsError):
    """A step of the seed failed and was rolled back; the steps before it are kept."""


@dataclass(frozen=True)
class SeedReport:
    """Report of a seed. ``rows`` counts by step, of this run and of the ones it resumed."""

    scale: float
    rows: Mapping[str, int]
    steps_done: tuple[str, ...]
    """Steps that this run did; empty when there was nothing left to do."""
    objects_put: int
    seconds: float
    step_seconds: Mapping[str, float] = field(default_factory=dict)


def seed(
    url: str,
    *,
    scale: float | None = None,
    media: ObjectStore | None = None,
    progress: Progress | None = None,
) -> SeedReport:
    """Seed the database at ``url``, connected as the owner of the demo's tables.

    Without a ``scale`` it is the one that the database was seeded at before, or 1.
    With ``media`` the objects that rows name are put into its bucket too; without it the rows
    are the same and name objects that are not there.
    Raises ConfigurationError (scale, schema missing, database seeded at another scale),
    Unavailable (server, another seed running), SeedError.
    """
    say: Progress = progress or (lambda name, fraction: None)
    started = time.monotonic()
    step_seconds: dict[str, float] = {}
    try:
        with postgres.session(url, application="ops-platform demo seed", autocommit=True) as connection:
            the_plan, marks = _prepare(connection, url, scale)
            # One for each step, one for tidying up, one for the objects.
            total = len(steps()) + 2
            for position, step in enumerate(steps(), 1):
                if step.name not in marks:
                    began = time.monotonic()
                    marks[step.name] = _run(connection, step, the_plan)
                    step_seconds[step.name] = time.monotonic() - began
                say(step.name, position / total)
            if _TIDY not in marks:
                began = time.monotonic()
                _tidy(connection, the_plan)
                step_seconds[_TIDY] = time.monotonic() - began
            say("statistics", (total - 1) / total)
            objects = 0
            # Once: objects that the product or an erasure removed since must not come back.
            if media and _OBJECTS not in marks:
                began = time.monotonic()
                objects = media_objects.seed_media(connection, media)
                _mark(connection, _OBJECTS, the_plan, objects)
                step_seconds[_OBJECTS] = time.monotonic() - began
            say("objects", 1.0)
    except psycopg.OperationalError as error:
        raise Unavailable(
            f"lost PostgreSQL at {postgres.describe(url)} while seeding ({type(error).__name__}): "
            "seed again, it goes on where it stopped"
        ) from None
    return SeedReport(
        scale=the_plan.scale,
        rows={name: count for name, count in marks.items() if name not in (_TIDY, _OBJECTS)},
        steps_done=tuple(step_seconds),
        objects_put=objects,
        seconds=time.monotonic() - started,
        step_seconds=step_seconds,
    )


def _prepare(connection: postgres.Connection, url: str, scale: float | None) -> tuple[Plan, dict[str, int]]:
    """Prepare the session; return the plan and the marks of the steps that were done before."""
    where = postgres.describe(url)
    requested = None if scale is None else plan(scale)
    if not postgres.try_lock(connection, LOCK):
        raise Unavailable(f"another seed of {where} is running: wait for it or end it, then repeat")
    try:
        marks = connection.execute("SELECT step, scale, row_count FROM demo_seed_progress").fetchall()
        present = connection.execute("SELECT EXISTS (SELECT FROM creators) AS found").fetchone()
        connection.execute("SELECT ensure_usage_log_partitions(%s, %s)", (month_start(0).date(), MONTHS))
    except psycopg.errors.UndefinedTable:
        raise ConfigurationError(
            f"{where} does not have the demo's schema: migrate it with sql/demo first"
        ) from None
    except psycopg.errors.InsufficientPrivilege:
        raise ConfigurationError(
            f"the demo's tables at {where} belong to another role: seed as their owner (product_owner)"
        ) from None
    if not marks and present and present["found"]:
        raise ConfigurationError(f"{where} holds creators that no seed made: use an empty database")
    before = plan(float(marks[0]["scale"])) if marks else None
    if requested and before and requested != before:
        raise ConfigurationError(
            f"{where} was seeded at scale {before.scale:g}, not {requested.scale:g}: leave OPS_DEMO_SCALE "
            "out, "
            "or use an empty database"
        )
    the_plan = requested or before or plan(1.0)
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET synchronous_commit = off")  # a step that a crash takes back takes its mark along
    _execute(connection, FUNCTIONS, parameters(the_plan))
    return the_plan, {str(mark["step"]): int(mark["row_count"]) for mark in marks}


def _run(connection: postgres.Connection, step: Step, the_plan: Plan) -> int:
    try:
        with connection.transaction():
            count = _execute(connection, step.file, parameters(the_plan, step.month))
            _mark(connection, step.name, the_plan, count)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise SeedError(
            f"step {step.name!r} of the seed failed and was rolled back: {why(error)}: "
            "correct the cause, repeat"
        ) from None
    return count


def _execute(connection: postgres.Connection, file: str, values: dict[str, Any]) -> int:
    """Run a file's statements; return how many rows they wrote together."""
    # Bound by the client: the server takes no parameters in several statements or function bodies.
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(text(file).encode(), values)
        count = max(0, cursor.rowcount)
        while cursor.nextset():
            count += max(0, cursor.rowcount)
    return count


def _tidy(connection: postgres.Connection, the_plan: Plan) -> None:
    # Frozen now, so that no later reader rewrites pages and makes the next incremental backup large.
    tables = sql.SQL(", ").join(sql.Identifier(name) for name in _TABLES)
    connection.execute(sql.SQL("VACUUM (FREEZE, ANALYZE) {}").format(tables))
    connection.execute("RESET synchronous_commit")  # from here on, a reported commit is on the disk
    _mark(connection, _TIDY, the_plan, 0)


def _mark(connection: postgres.Connection, name: str, the_plan: Plan, count: int) -> None:
    connection.execute(
        sql.SQL("INSERT INTO demo_seed_progress (step, scale, row_count) VALUES (%s, %s, %s)"),
        (name, Decimal(str(the_plan.scale)), count),
    )
