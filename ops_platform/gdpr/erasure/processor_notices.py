"""The letters that tell processors of an erasure, one to each (Art. 19 GDPR).

A letter names the subject; it is cleared from the outbox when it has left, and counts only then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ops_platform.clients.mail import outbox
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.spellings import is_email

State = Literal["sent", "waiting", "given up"]


@dataclass(frozen=True)
class _Letter:
    number: int
    state: State
    sent_at: datetime | None


def write(
    ops: Connection, data_map: DataMap, inventory: Inventory, request_id: str, now: datetime
) -> list[Effect]:
    """Put a letter to each processor into the outbox, in the caller's transaction.

    A letter that has left, or still waits, is not written again; one that was given up is.
    """
    for processor in data_map.processors:
        newest = _newest(ops, request_id, processor.name)
        if newest is None or newest.state == "given up":
            number = 1 if newest is None else newest.number + 1
            outbox.put(
                ops,
                f"{_dedup_key(request_id, processor.name)}:{number}",
                processor.email,
                f"Please erase a data subject (our reference {request_id})",
                _body(data_map, inventory, request_id),
                now=now,
            )
    return effects(ops, data_map, request_id)


def effects(ops: Connection, data_map: DataMap, request_id: str) -> list[Effect]:
    """Read an effect for each processor: ``changed`` 1 once its letter has left, ``after`` 1 until then."""
    letters = []
    for processor in data_map.processors:
        newest = _newest(ops, request_id, processor.name)
        sent = int(newest is not None and newest.state == "sent")
        letters.append(Effect("processor", processor.name, "recipient", "tell", 1, sent, 1 - sent))
    return letters


def told_at(ops: Connection, data_map: DataMap, request_id: str) -> dict[str, datetime]:
    """Read when the letter to each processor has left, by name; those who were not told are left out."""
    left = {processor.name: left_at(ops, request_id, processor.name) for processor in data_map.processors}
    return {name: at for name, at in left.items() if at is not None}


def left_at(ops: Connection, request_id: str, processor: str) -> datetime | None:
    """Read when the letter to the processor of this name has left; None: not yet, or it is not known."""
    newest = _newest(ops, request_id, processor)
    return None if newest is None else newest.sent_at


def remaining(ops: Connection, data_map: DataMap, request_id: str) -> list[Effect]:
    """Find the processors whose letter has not left yet."""
    return [effect for effect in effects(ops, data_map, request_id) if effect.after]


def _newest(ops: Connection, request_id: str, processor: str) -> _Letter | None:
    prefix = f"{_dedup_key(request_id, processor)}:"
    rows = ops.execute(
        "SELECT dedup_key, sent_at, given_up_at FROM mail_outbox WHERE dedup_key LIKE %s",
        # By the index for patterns: starts_with() has none outside of collation C.
        (re.sub(r"([\\%_])", r"\\\1", prefix) + "%",),
    ).fetchall()
    letters = [
        _Letter(
            int(row["dedup_key"].removeprefix(prefix)),
            "sent" if row["sent_at"] else "given up" if row["given_up_at"] else "waiting",
            row["sent_at"],
        )
        for row in rows
        # Any other ending belongs to a processor whose name begins with this one's.
        if row["dedup_key"].removeprefix(prefix).isdigit()
    ]
    return max(letters, key=lambda letter: letter.number, default=None)


def _dedup_key(request_id: str, processor: str) -> str:
    return f"gdpr-processor:{request_id}:{processor}"


def _body(data_map: DataMap, inventory: Inventory, request_id: str) -> str:
    subject = data_map.subject
    lines: dict[str, None] = {}
    for identity in inventory.identities:
        values = identity.values
        has_address = bool(identity.of(subject.email))
        names = [subject.email] if has_address else [*subject.key, *subject.identifiers]
        lines |= dict.fromkeys(f"  {name}: {values[name]}" for name in names if name in values)
        # A processor may know any of several addresses.
        lines |= dict.fromkeys(
            f"  {subject.email}: {value}"
            for known in subject.known_by
            for value in identity.of(known.name)
            if isinstance(value, str) and is_email(value)
        )
    identifiers = "\n".join(lines)
    return (
        f"Hello,\n\na {subject.kind} has had us erase their personal data. You process data of theirs\n"
        "for us; the law asks us to tell you (Article 19 GDPR), and you to erase what you hold of:\n\n"
        f"{identifiers}\n\nPlease answer with our reference {request_id} when it is done, and then delete\n"
        "this letter.\n"
    )
