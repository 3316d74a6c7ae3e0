"""The outlook on an erasure of a key's subject, for a preview: what it would do, and what it would leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.row_erasure import others, preview
from ops_platform.gdpr.row_erasure.engine import RowErasure, find_shared
from ops_platform.gdpr.row_erasure.foresight.uncovered import Uncovered, foresee
from ops_platform.gdpr.row_erasure.others import SharedRows
from ops_platform.gdpr.row_erasure.preview import Share
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import row_predicates


@dataclass(frozen=True)
class AcceptedPlace:
    """The number of rows in which the subject would stay named, and why the map accepts that."""

    place: str
    because: str
    rows: int


@dataclass(frozen=True)
class Outlook:
    """What an erasure would do by role, and what it would leave. With ``uncovered`` places it is refused.

    So it is with ``shared`` rows of which the map does not say what becomes. ``told_apart``: how others are.
    ``not_searched``: the identifiers that the scan passes over, by name, and why.
    """

    shares: tuple[Share, ...]
    uncovered: tuple[Uncovered, ...]
    accepted: tuple[AcceptedPlace, ...]
    not_searched: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[SharedRows, ...] = ()
    told_apart: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Tell whether an erasure would be refused."""
        return bool(self.uncovered) or any(rows.refused for rows in self.shared)


def of_key(connection: Connection, data_map: DataMap, catalogue: Catalogue, key: str) -> Outlook | None:
    """Count what an erasure of the subject with this key would do, and search for what it would leave.

    None: there is no such subject. ``connection`` is in autocommit mode. Raises ConfigurationError where
    this role does not see all rows; what psycopg raises.
    """
    identity = row_predicates.identity(connection, data_map, catalogue, key)
    if identity is None:
        return None
    shares = preview.preview(connection, data_map, catalogue, identity)
    erasure = RowErasure("preview", identity, datetime.now(UTC))
    shared = find_shared(connection, data_map, catalogue, erasure)
    found = foresee(connection, data_map, catalogue, erasure, preview=True)
    because = {place.place: place for place in data_map.accepted}
    return Outlook(
        tuple(shares),
        found.uncovered,
        tuple(
            AcceptedPlace(str(because[hit.place]), because[hit.place].because, hit.rows)
            for hit in found.accepted
        ),
        preview.not_searched(data_map, identity),
        tuple(shared),
        others.told_apart(data_map, catalogue),
    )
