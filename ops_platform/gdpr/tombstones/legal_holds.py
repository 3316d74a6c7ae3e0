"""Legal holds: no erasure of a subject begins while one is active, for example for a legal claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients.postgres import Connection, lock_key, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.subject import SubjectKey


@dataclass(frozen=True)
class LegalHold:
    """A hold, without the subject: a reader of the list need not know whom it is about.

    ``kind``: of the subject, as the data map names it; ``stanza``: of the database whose data they are.
    """

    id: int
    stanza: str
    kind: str
    basis: str
    placed_by: str
    placed_at: datetime


class Held(CheckFailed):
    """An erasure cannot begin: a legal hold keeps the data."""


def place(ops: Connection, subject_key: SubjectKey, basis: str, placed_by: str, now: datetime) -> LegalHold:
    """Place a hold, in the caller's transaction. Raises CheckFailed while an erasure of the subject runs.

    A complete erasure prevents no hold: a subject with this key has come back since.
    """
    lock(ops, subject_key)
    # Retention deletes rows of many subjects at a time: the hold is there before or after such a batch.
    ops.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(fence(subject_key.stanza)),))
    erasure = one_row(
        ops,
        "SELECT EXISTS (SELECT FROM erasure_tombstones WHERE stanza = %s AND subject_type = %s "
        "AND subject_key = %s AND completed_at IS NULL) AS begun",
        (subject_key.stanza, subject_key.kind, subject_key.key),
    )
    if erasure["begun"]:
        raise CheckFailed("the erasure of this subject has begun: it is too late for a legal hold")
    row = one_row(
        ops,
        "INSERT INTO gdpr_legal_holds (stanza, subject_type, subject_key, basis, placed_by, placed_at) "
        "VALUES (%s, %s, %s, %s, %s, %s) "
        "RETURNING id, stanza, subject_type AS kind, basis, placed_by, placed_at",
        (subject_key.stanza, subject_key.kind, subject_key.key, basis, placed_by, now),
    )
    return LegalHold(**row)


def release(ops: Connection, hold_id: int, released_by: str, now: datetime) -> None:
    """Release a hold. Raises CheckFailed when there is no such active hold."""
    released = ops.execute(
        "UPDATE gdpr_legal_holds SET released_by = %s, released_at = %s "
        "WHERE id = %s AND released_at IS NULL",
        (released_by, now, hold_id),
    ).rowcount
    if not released:
        raise CheckFailed(
            f"there is no active legal hold {hold_id}: 'ops-platform gdpr hold list' shows them"
        )


def active(ops: Connection, subject_key: SubjectKey | None = None) -> list[LegalHold]:
    """List the active holds of one subject, or of all; the oldest first."""
    rows = ops.execute(
        "SELECT id, stanza, subject_type AS kind, basis, placed_by, placed_at "
        "FROM gdpr_legal_holds WHERE released_at IS NULL "
        "AND (%(all)s OR (stanza = %(stanza)s AND subject_type = %(kind)s AND subject_key = %(key)s)) "
        "ORDER BY id",
        {
            "all": subject_key is None,
            "stanza": subject_key.stanza if subject_key else None,
            "kind": subject_key.kind if subject_key else None,
            "key": subject_key.key if subject_key else None,
        },
    ).fetchall()
    return [LegalHold(**row) for row in rows]


def fence(stanza: str) -> str:
    """Name the advisory lock that holds and batches of retention take, one at a time."""
    return f"gdpr/retention/holds/{stanza}"


def keys(ops: Connection, stanza: str) -> dict[int, tuple[str, str]]:
    """Map the active holds on subjects of ``stanza`` to the kind and the key of the subject: never log it."""
    rows = ops.execute(
        "SELECT id, subject_type, subject_key FROM gdpr_legal_holds "
        "WHERE released_at IS NULL AND stanza = %s ORDER BY id",
        (stanza,),
    )
    return {row["id"]: (row["subject_type"], row["subject_key"]) for row in rows}


def refuse(ops: Connection, subject_key: SubjectKey) -> None:
    """Refuse an erasure: raises Held while a hold is active. Call it under ``lock`` before writing."""
    holds = active(ops, subject_key)
    if holds:
        numbers = ", ".join(str(hold.id) for hold in holds)
        raise Held(f"legal hold {numbers} keeps this subject's data: release it before the erasure")


def lock(ops: Connection, subject_key: SubjectKey) -> None:
    """Make holds and erasures of one subject wait for each other, until the transaction ends."""
    name = f"gdpr/{subject_key.stanza}/{subject_key.kind}/{subject_key.key}"
    ops.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(name),))
