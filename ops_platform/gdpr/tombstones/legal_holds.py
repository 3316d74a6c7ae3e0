"""Subjects whose data must be kept for now, as for a legal claim: no erasure begins while one is active."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients.postgres import Connection, lock_key, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.subject import SubjectKey


@dataclass(frozen=True)
class LegalHold:
    """Without the subject: who reads a list need not know whom it is about."""

    id: int
    basis: str
    placed_by: str
    placed_at: datetime


class Held(CheckFailed):
    """An erasure cannot begin: the law wants the data kept."""


def place(ops: Connection, of: SubjectKey, basis: str, placed_by: str, now: datetime) -> LegalHold:
    """In the caller's transaction. Raises CheckFailed while an erasure of the subject is under way.

    One that is complete keeps nobody from a hold: who is there now has come since.
    """
    lock(ops, of)
    begun = one_row(
        ops,
        "SELECT EXISTS (SELECT FROM erasure_tombstones WHERE stanza = %s AND subject_type = %s "
        "AND subject_key = %s AND completed_at IS NULL) AS begun",
        (of.stanza, of.kind, of.key),
    )
    if begun["begun"]:
        raise CheckFailed("the erasure of this subject has begun: it is too late for a legal hold")
    row = one_row(
        ops,
        "INSERT INTO gdpr_legal_holds (stanza, subject_type, subject_key, basis, placed_by, placed_at) "
        "VALUES (%s, %s, %s, %s, %s, %s) RETURNING id, basis, placed_by, placed_at",
        (of.stanza, of.kind, of.key, basis, placed_by, now),
    )
    return LegalHold(**row)


def release(ops: Connection, hold_id: int, released_by: str, now: datetime) -> None:
    """Raises CheckFailed when there is no such active hold."""
    done = ops.execute(
        "UPDATE gdpr_legal_holds SET released_by = %s, released_at = %s "
        "WHERE id = %s AND released_at IS NULL",
        (released_by, now, hold_id),
    ).rowcount
    if not done:
        raise CheckFailed(
            f"there is no active legal hold {hold_id}: 'ops-platform gdpr hold list' shows them"
        )


def active(ops: Connection, of: SubjectKey | None = None) -> list[LegalHold]:
    """Of one subject, or all; the oldest first."""
    rows = ops.execute(
        "SELECT id, basis, placed_by, placed_at FROM gdpr_legal_holds WHERE released_at IS NULL "
        "AND (%(all)s OR (stanza = %(stanza)s AND subject_type = %(kind)s AND subject_key = %(key)s)) "
        "ORDER BY id",
        {
            "all": of is None,
            "stanza": of.stanza if of else None,
            "kind": of.kind if of else None,
            "key": of.key if of else None,
        },
    ).fetchall()
    return [LegalHold(**row) for row in rows]


def refuse(ops: Connection, of: SubjectKey) -> None:
    """Raises Held while a hold is active; who calls this before writing holds ``lock``."""
    found = active(ops, of)
    if found:
        numbers = ", ".join(str(one.id) for one in found)
        raise Held(f"legal hold {numbers} keeps this subject's data: release it before the erasure")


def lock(ops: Connection, of: SubjectKey) -> None:
    """Until the transaction ends: a hold and an erasure of one subject wait for each other."""
    ops.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(f"gdpr/{of.stanza}/{of.kind}/{of.key}"),))
