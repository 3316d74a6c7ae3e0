"""The record of exports, and their end: where an archive is, who was given a link, when all of it is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.effects import Effect


def expire(connection: Connection, store: ObjectStore, clock: Callable[[], datetime]) -> int:
    """Delete every version of the exports whose time is over; how many exports that were."""
    raise NotImplementedError


def remove(connection: Connection, store: ObjectStore, subject: UUID, now: datetime) -> Effect:
    """Delete every version of all exports of ``subject``, for an erasure; safe to repeat."""
    raise NotImplementedError
