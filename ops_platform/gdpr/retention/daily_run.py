"""One run of retention over all tables with a term: checked first, swept children first, put on record.

Also the dry run, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed, OpsError
from ops_platform.gdpr import map_check, schema
from ops_platform.gdpr.data_map import DataMap, RetentionTerm
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.retention import retention_store, term_check
from ops_platform.gdpr.retention.due_rows import DueRows
from ops_platform.gdpr.retention.held_subjects import Holds
from ops_platform.gdpr.retention.outcome import Report, TableOutcome
from ops_platform.gdpr.retention.outside_places import OutsidePlaces
from ops_platform.gdpr.retention.pending_removals import ROLE, PendingRemovals
from ops_platform.gdpr.retention.sweep import Sweep
from ops_platform.gdpr.row_erasure import Journal, collateral_check, materialised_views
from ops_platform.gdpr.schema import Catalogue, Name, dependency_order

CLOCKS_APART = timedelta(minutes=10)
"""The most by which the database's clock may differ from this host's: a wrong one deletes too early."""
ROUNDS = 50
"""Rounds through all tables, until one changes nothing."""
Progress = Callable[[str, int], None]


def run(
    product: Connection,
    ops: Connection,
    data_map: DataMap,
    stanza: str,
    *,
    actor: str,
    dagster_run: str | None = None,
    progress: Progress = lambda place, changed: None,
    outside: OutsidePlaces | None = None,
) -> Report:
    """Carry out the terms of ``data_map``, or go on with a run that was killed; put it on record.

    Both connections are in autocommit mode. ``outside``: the product's buckets and cache. Without a term
    nothing is done and nothing put on record. What fails in one table is in the report, and the others go on.
    Raises CheckFailed when the map does not fit the database or another run is at work, ConfigurationError,
    Unavailable, and what psycopg raises; nothing is then changed by this call but what an earlier one began.
    """
    if not _terms(data_map):
        retention_store.forget_looks(ops, stanza)
        return Report(None, datetime.now(UTC), data_map.version, ())
    catalogue, now = _ready(product, data_map)
    collateral_check.preflight(product)
    lock = f"gdpr/retention/run/{stanza}"
    if not postgres.try_lock(ops, lock):
        raise CheckFailed("another run of retention is at work: wait for its end")
    try:
        run_id = retention_store.begin(ops, stanza, data_map.version)
        journal = Journal(product, run_id)
        journal.open(data_map.version)
        _forget_finished(product, run_id)
        holds = Holds(ops, product, data_map, catalogue, stanza)
        sweep = Sweep(
            product,
            data_map,
            catalogue,
            holds,
            journal,
            now,
            progress,
            outside=outside or OutsidePlaces(),
        )
        problems = _sweep_all(sweep)
        tables = tuple(_outcome(sweep, name, term, problems) for name, term in _terms(data_map))
        report = Report(run_id, now, data_map.version, tables, outside=_outside(sweep))
        effects = [
            Effect(*_place(table), ROLE, f"{action} (retention)", noted.before, noted.changed, 0)
            for (table, _, action), noted in journal.steps().items()
        ]
        retention_store.finish(ops, stanza, report, _with_left(effects, report), actor, dagster_run)
        journal.forget()
    finally:
        postgres.unlock_quietly(ops, lock)
    return report


def dry_run(
    product: Connection,
    ops: Connection | None,
    data_map: DataMap,
    stanza: str,
    outside: OutsidePlaces | None = None,
) -> Report:
    """Count what a run would do now; nothing is changed or put on record. Raises as ``run`` does.

    ``ops`` None: holds are not known, and the report says so. ``outside``: as of a run, not asked.
    """
    catalogue, now = _ready(product, data_map)
    holds = Holds(ops, product, data_map, catalogue, stanza)
    sweep = Sweep(
        product,
        data_map,
        catalogue,
        holds,
        Journal(product, ""),
        now,
        outside=outside or OutsidePlaces(),
    )
    due, tables = DueRows(data_map, catalogue, now), list[TableOutcome]()
    for name, term in _terms(data_map):
        try:
            _refuse_unknown(sweep, name)
            sweep.of_subjects(name)
            counts, changed = sweep.count(name), sweep.foresee(name)
        except OpsError as error:
            tables.append(TableOutcome(str(name), term.action, str(term.after), 0, None, str(error)))
            continue
        left = counts.due - changed - counts.held
        problem = _left(due, name, left, counts.referenced) if left > 0 else None
        tables.append(
            TableOutcome(
                str(name), term.action, str(term.after), changed, counts, problem, due.is_circular(name)
            )
        )
    return Report(None, now, data_map.version, tuple(tables), holds_known=ops is not None)


def _place(journalled: str) -> tuple[Literal["postgresql", "s3", "redis"], str]:
    """Separate the store from the place; a table stands alone."""
    store, _, place = journalled.partition(":")
    if store == "s3":
        return "s3", place
    if store == "redis":
        return "redis", place
    return "postgresql", journalled


def _terms(data_map: DataMap) -> list[tuple[Name, RetentionTerm]]:
    return [(table.name, table.term) for table in data_map.tables.values() if table.term is not None]


def _ready(product: Connection, data_map: DataMap) -> tuple[Catalogue, datetime]:
    """Check everything that can be checked before anything is destroyed; return catalogue and time."""
    with product.transaction():
        findings = map_check.check(product, data_map)
        catalogue = term_check.with_declared(data_map, schema.read(product))
        now: datetime = one_row(product, "SELECT clock_timestamp() AS now")["now"]
    findings += term_check.check(data_map, catalogue)
    if findings:
        raise CheckFailed(
            f"the map does not fit the database, {len(findings)} findings, the first: {findings[0]}: "
            "correct the map until 'ops-platform gdpr map check' finds nothing"
        )
    apart = abs(now - datetime.now(UTC))
    if apart > CLOCKS_APART:
        raise CheckFailed(
            f"the clocks of the product database and of this host are {apart.total_seconds():.0f} s apart: a "
            "wrong one would delete rows before their time: set them, then try again"
        )
    return catalogue, now


def _sweep_all(sweep: Sweep) -> dict[Name, str]:
    """Take rows of every table, children first, until a round changes nothing; return what failed."""
    names = [name for name, _ in _terms(sweep.data_map)]
    try:
        ordered = dependency_order.children_first(names, sweep.catalogue).tables
    except CheckFailed:
        # Rows that refer to each other in a circle stay, and are reported; the order of the others is any.
        ordered = tuple(names)
    problems: dict[Name, str] = {}
    for _ in range(ROUNDS):
        changed = 0
        for name in ordered:
            if name in problems:
                continue
            try:
                _refuse_unknown(sweep, name)
                changed += sweep.take(name)
            except OpsError as error:
                problems[name] = str(error)
        if not changed:
            break
    if any(noted.changed for noted in sweep.journal.steps().values()):
        materialised_views.refresh(sweep.product, sweep.data_map, sweep.catalogue)
    return problems


def _outside(sweep: Sweep) -> str | None:
    """Remove what is outside of those whose rows went, if anything is left; say what stays."""
    why = None
    try:
        sweep.finish_outside()
    except OpsError as error:
        why = str(error)
    waiting = len(PendingRemovals(sweep.product, sweep.outside.keys).waiting())
    if not waiting:
        return None
    return (
        f"objects or cached keys of {waiting} subjects whose rows are gone wait to be removed"
        f"{': ' + why if why else ''}: the next run goes on"
    )


def _refuse_unknown(sweep: Sweep, table: Name) -> None:
    reason = sweep.holds.now().unknown_in(table)
    if reason is not None:
        raise CheckFailed(reason)


def _outcome(sweep: Sweep, name: Name, term: RetentionTerm, problems: dict[Name, str]) -> TableOutcome:
    """Look at what is there after the sweep; what cannot be looked at is not called done."""
    noted = sweep.journal.steps().get((str(name), ROLE, term.action))
    outcome = TableOutcome(
        str(name), term.action, str(term.after), noted.changed if noted else 0, None, problems.get(name)
    )
    try:
        _refuse_unknown(sweep, name)
        counts = sweep.count(name)
    except OpsError as error:
        return replace(outcome, problem=outcome.problem or str(error))
    left = counts.due - counts.held
    due = DueRows(sweep.data_map, sweep.catalogue, sweep.now)
    problem = outcome.problem or (_left(due, name, left, counts.referenced) if left else None)
    return replace(outcome, counts=counts, problem=problem)


def _left(due: DueRows, name: Name, rows: int, referenced: int) -> str:
    referring = ", ".join(sorted({str(reference.table) for reference in due.referring(name)}))
    if not referenced:
        return f"{rows} rows whose term is over are there still: the next run goes on"
    return (
        f"{rows} rows whose term is over stay, for rows that stay refer to them: give {referring} a term "
        "that ends no later, or this table a longer one"
    )


def _with_left(effects: list[Effect], report: Report) -> list[Effect]:
    """Fill in what was left, where it was counted."""
    left = {table.table: table.counts.due for table in report.tables if table.counts is not None}
    return [
        replace(effect, before=effect.changed + left[effect.place], after=left[effect.place])
        if effect.place in left
        else replace(effect, after=max(0, effect.before - effect.changed))
        for effect in effects
    ]


def _forget_finished(product: Connection, run_id: str) -> None:
    """Delete the journals of earlier runs, which were on record before their process was killed."""
    product.execute(
        r"DELETE FROM ops_platform.erasures WHERE erasure_id LIKE 'retention-%%' AND erasure_id <> %s",
        (run_id,),
    )
