"""The facts that a certificate states beside effects and proof, gathered when nothing is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.certificates import facts
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure import processor_answers, processor_notices
from ops_platform.gdpr.erasure.steps.base import RecordedErasure
from ops_platform.gdpr.lineage import lineage_store
from ops_platform.gdpr.requests import due_at
from ops_platform.gdpr.row_erasure import preview

_WHO = ("name", "address", "contact", "representative", "dpo", "supervisory_authority")


def gather(state: RecordedErasure, expires: datetime) -> facts.Facts:
    """Gather the facts of an erasure whose verification has passed.

    ``expires``: when the last backup with the data is deleted, of those that are known.
    """
    request_id, data_map = state.case.request_id, state.data_map
    received_at, confirmed_at = request_times(state.ops, request_id, state.tombstone.erased_at)
    verified = lineage_store.completions(state.ops, request_id, "verification")
    identities = state.row_erasure().identities
    searching = [
        (database, preview.searched(database.data_map, database.catalogue, *identities))
        for database in state.databases
    ]
    return facts.Facts(
        controller=_controller(data_map),
        databases=_databases(state, expires),
        received_at=received_at,
        confirmed_at=confirmed_at,
        due_at=due_at(confirmed_at),
        done_at=verified[-1].recorded_at if verified else state.context.clock(),
        searched=facts.Searched(
            {
                database.data_map.place(table): columns
                for database, searched in searching
                for table, columns in searched.columns.items()
            },
            searching[0][1].identifiers,
        ),
        processors=_processors(state.ops, data_map, request_id, state.context.clock()),
        map_sha256=data_map.sha256,
    )


def _databases(state: RecordedErasure, expires: datetime) -> tuple[facts.DatabaseIdentity, ...]:
    home, *others = state.databases
    term = state.context.term
    identity = facts.identify(home.connection, term.stanza)
    if not others:
        return (identity,)
    each = term.each(expires)
    return (
        replace(identity, backups=facts.Backups("product", each[""])),
        *(
            replace(
                facts.identify(other.connection, stanza),
                backups=facts.Backups(other.name, each.get(other.name)),
            )
            for other in others
            for stanza in [other.data_map.database.stanza if other.data_map.database else None]
        ),
    )


def request_times(
    ops: Connection, request_id: str, cutoff: datetime
) -> tuple[datetime | None, datetime | None]:
    """Read when the request came and when it was confirmed; None without a request, or where that is lost.

    ``cutoff``: the tombstone's, which a request has instead of the times that the ops database has lost.
    """
    row = ops.execute(
        "SELECT created_at, verified_at FROM gdpr_requests WHERE request_id = %s", (request_id,)
    ).fetchone()
    if row is None:
        return None, None
    # Nobody can have confirmed at the cutoff: the erasure begins after it was confirmed.
    received_at, confirmed_at = (
        None if row[name] == cutoff else row[name] for name in ("created_at", "verified_at")
    )
    return received_at, confirmed_at


def _processors(
    ops: Connection, data_map: DataMap, request_id: str, now: datetime
) -> list[facts.ProcessorNotice]:
    told = processor_notices.told_at(ops, data_map, request_id)
    answered = processor_answers.times(ops, request_id)
    return [
        facts.ProcessorNotice(
            processor.name,
            processor.purpose,
            told.get(processor.name),
            _credible(told.get(processor.name), answered.get(processor.name), now),
        )
        for processor in data_map.processors
    ]


def _credible(told_at: datetime | None, answered_at: datetime | None, now: datetime) -> datetime | None:
    """Return an answer that can be one to the letter; older versions recorded any, for ever."""
    if told_at is None or answered_at is None:
        return None
    return answered_at if told_at <= answered_at <= now else None


def _controller(data_map: DataMap) -> Mapping[str, str] | None:
    """Return who answers for the data and how to reach them, as the map says it; None where it does not."""
    if data_map.controller is None:
        return None
    who = {name: getattr(data_map.controller, name) for name in _WHO}
    return {name: text for name, text in who.items() if text}
