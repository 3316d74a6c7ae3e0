"""The erasure of a subject's rows in a product database: batch by batch, each proved before it is kept.

Whoever is killed goes on where it stopped: a batch and the note of it are one transaction. Nothing is
known here of tombstones, objects, caches or certificates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.catalogue import Catalogue
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.effects import Effect
from ops_platform.gdpr.residue import Residue
from ops_platform.gdpr.subject_rows import Identity

BATCH = 1000
"""Rows that are changed in one transaction."""


@dataclass(frozen=True)
class Erasing:
    """One erasure. ``erasure_id``: opaque, the same at every attempt.

    ``replay``: after a restore; rows that came into being after ``cutoff`` are spared where their table
    says when that was.
    """

    erasure_id: str
    who: Identity
    cutoff: datetime
    replay: bool = False


def erase(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    what: Erasing,
    *,
    batch: int = BATCH,
    progress: Callable[[str, int], None] = lambda place, changed: None,
) -> list[Effect]:
    """Do to every row of the subject what the map says, until none is left; what was done, step by step.

    ``connection`` commits by itself (autocommit). ``progress`` is told after each batch which table it
    was and how many rows have changed in this step so far. Safe to repeat, also after ``forget``.
    Raises CheckFailed when somebody else's row would change, or when rows come faster than they go;
    ConfigurationError when the role or the database lacks what it needs; what psycopg raises.
    """
    raise NotImplementedError


def remaining(connection: Connection, data_map: DataMap, catalogue: Catalogue, what: Erasing) -> list[Effect]:
    """The steps that still find rows of the subject's; what is kept by law is not among them."""
    raise NotImplementedError


def residue(connection: Connection, data_map: DataMap, catalogue: Catalogue, what: Erasing) -> list[Residue]:
    """Where an identifier still stands, kept rows excepted. Materialised views are refreshed first."""
    raise NotImplementedError


def forget(connection: Connection, erasure_id: str) -> None:
    """Destroy the progress of an erasure, and with it its pseudonym. Safe to repeat."""
    raise NotImplementedError
