"""The outlook on an erasure of a key's subject, for a preview: what it would do, and what it would leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.row_erasure import others, preview
from ops_platform.gdpr.row_erasure.engine import RowErasure, find_shared
from ops_platform.gdpr.row_erasure.foresight.uncovered import Foresight, Uncovered, foresee_each
from ops_platform.gdpr.row_erasure.others import SharedRows
from ops_platform.gdpr.row_erasure.preview import Share
from ops_platform.gdpr.subject import Identity, row_predicates


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


def of_keys(databases: Sequence[OpenDatabase], keys: Sequence[str]) -> list[Outlook | None]:
    """Count what erasures of these subjects would do, and search for what each would leave, in one pass.

    In all ``databases``, the home database first; their connections are in autocommit mode. None: there is no
    such subject. Raises ConfigurationError where this role does not see all rows; what psycopg raises.
    """
    home = databases[0]
    identities = [
        row_predicates.identity(home.connection, home.data_map, home.catalogue, key) for key in keys
    ]
    known, in_databases = [one for one in identities if one is not None], list[list[Outlook]]()
    for database in databases:
        with database.named():
            in_databases.append(_in_database(database, known) if known else [])
    joined = iter([_joined(databases, found) for found in zip(*in_databases, strict=True)])
    return [None if identity is None else next(joined) for identity in identities]


def _joined(databases: Sequence[OpenDatabase], found: Sequence[Outlook]) -> Outlook:
    told = [outlook.told_apart for outlook in found]
    return Outlook(
        tuple(share for outlook in found for share in outlook.shares),
        tuple(place for outlook in found for place in outlook.uncovered),
        tuple(place for outlook in found for place in outlook.accepted),
        found[0].not_searched,
        tuple(rows for outlook in found for rows in outlook.shared),
        others.join_told([database.data_map for database in databases], told),
    )


def _in_database(database: OpenDatabase, identities: Sequence[Identity]) -> list[Outlook]:
    """Look at one database; places are named among those of others."""
    where, now = (database.connection, database.data_map, database.catalogue), datetime.now(UTC)
    erasures = [RowErasure("preview", identity, now, home=database.home) for identity in identities]
    foreseen = foresee_each(*where, erasures, preview=True)
    return [_of_erasure(database, erasure, found) for erasure, found in zip(erasures, foreseen, strict=True)]


def _of_erasure(database: OpenDatabase, erasure: RowErasure, found: Foresight) -> Outlook:
    data_map, where = database.data_map, (database.connection, database.data_map, database.catalogue)
    place, because = data_map.place, {place.place: place for place in data_map.accepted}
    return Outlook(
        tuple(
            replace(share, table=place(share.table)) for share in preview.preview(*where, erasure.identity)
        ),
        tuple(
            replace(
                uncovered,
                table=place(uncovered.table),
                rule=f"databases.{database.name}.{uncovered.rule}" if database.name else uncovered.rule,
            )
            for uncovered in found.uncovered
        ),
        tuple(
            AcceptedPlace(place(because[hit.place]), because[hit.place].because, hit.rows)
            for hit in found.accepted
        ),
        preview.not_searched(data_map, erasure.identity),
        tuple(replace(rows, table=place(rows.table)) for rows in find_shared(*where, erasure)),
        others.told_apart(data_map, database.catalogue),
    )
