"""Digests of other subjects' rows around the rows of a batch, one for each subject, by foreign keys alone.

Around a row are the rows that it refers to and those that refer to it. In a REPEATABLE READ transaction only
our own changes can make a digest differ. The data map is not asked whose a row is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from ops_platform.gdpr.data_map import Belonging, ByColumn
from ops_platform.gdpr.row_erasure import collateral_check
from ops_platform.gdpr.row_erasure.others.owners import Ownership, joined
from ops_platform.gdpr.schema import Name, Reference
from ops_platform.gdpr.subject import Identity

ROWS = 50
"""Rows of others that are compared for each foreign key and batch, at most."""

Place = tuple[int, int, str]
"""The number of the neighbour, the oid of the relation, and the row's ctid."""


@dataclass(frozen=True)
class Neighbour:
    """A table with rows around those of a batch; ``at_child``: these rows refer to those of the batch."""

    reference: Reference
    at_child: bool
    other: sql.Composable

    @property
    def table(self) -> Name:
        """The table of the rows that are compared."""
        return self.reference.table if self.at_child else self.reference.target


@dataclass(frozen=True)
class Bystanders:
    """The rows around a batch, by place: whose each is, as a text of the database, and its digest."""

    neighbours: tuple[Neighbour, ...] = ()
    owners: Mapping[Place, str] = field(default_factory=dict)
    digests: Mapping[Place, str] = field(default_factory=dict)

    @property
    def subjects(self) -> int:
        """The number of other subjects."""
        return len(set(self.owners.values()))

    def by_owner(self, digests: Mapping[Place, str]) -> dict[str, str]:
        """Compute each owner's digest; a row that is gone counts as one."""
        hashes: dict[str, hashlib._Hash] = {}
        for place in sorted(self.owners):
            one = hashes.setdefault(self.owners[place], hashlib.sha256())
            one.update(digests.get(place, "gone").encode())
        return {owner: one.hexdigest() for owner, one in hashes.items()}

    def again(self) -> list[sql.Composed]:
        """Write the queries that compute the digests again."""
        return [query for _, query in self._again()]

    def changed(self, results: Sequence[Sequence[Mapping[str, Any]]]) -> list[Name]:
        """List the tables in which digests of another subject differ now. ``results``: those of ``again``."""
        if not self.owners:
            return []
        now = {
            (number, row["oid"], row["place"]): row["digest"]
            for (number, _), rows in zip(self._again(), results, strict=True)
            for row in rows
        }
        if self.by_owner(now) == self.by_owner(self.digests):
            return []
        return sorted(
            {
                self.neighbours[place[0]].table
                for place in self.owners
                if now.get(place) != self.digests[place]
            }
        )

    def _again(self) -> Iterator[tuple[int, sql.Composed]]:
        for number, neighbour in enumerate(self.neighbours):
            places = [place for place in self.owners if place[0] == number]
            if not places:
                continue
            yield (
                number,
                sql.SQL(
                    "SELECT t.tableoid::bigint AS oid, t.ctid::text AS place, encode({row}, 'hex') AS digest "
                    "FROM {table} AS t WHERE t.ctid = ANY ({places}) AND t.tableoid = ANY ({oids})"
                ).format(
                    row=collateral_check.row_digest(None),
                    table=neighbour.table.identifier,
                    places=collateral_check.tids([ctid for _, _, ctid in places]),
                    oids=sql.SQL("CAST({} AS oid[])").format(
                        sql.Literal(sorted({oid for _, oid, _ in places}))
                    ),
                ),
            )


def around(
    ownership: Ownership,
    identity: Identity,
    table: Name,
    belonging: Belonging,
    *,
    deleted: bool,
    of_other_kinds: Sequence[Ownership] = (),
) -> tuple[Neighbour, ...]:
    """List the tables whose rows can be another subject's and lie around rows of this role.

    ``deleted``: the rows of the batch go, so that those that refer to them matter, as far as an index finds
    them. ``of_other_kinds``: anybody of these is another subject, whatever their key.
    """
    neighbours = list[Neighbour]()
    for kind in of_other_kinds:
        for reference in ownership.catalogue.references:
            if reference.table == table:
                neighbours += _of_anybody(kind, reference, at_child=False)
            if reference.target == table and deleted and _indexed(reference, ownership):
                neighbours += _of_anybody(kind, reference, at_child=True)
    for reference in ownership.catalogue.references:
        if reference.table == table and not _is_by(reference, belonging, ownership):
            other = ownership.other(identity, reference.target, "t")
            if other is not None:
                neighbours.append(Neighbour(reference, False, other))
        to_these = reference.target == table and not ownership.owned_only_by(reference)
        if to_these and deleted and _indexed(reference, ownership):
            other = ownership.other(identity, reference.table, "t")
            if other is not None:
                neighbours.append(Neighbour(reference, True, other))
    return tuple(neighbours)


def _of_anybody(kind: Ownership, reference: Reference, *, at_child: bool) -> Iterator[Neighbour]:
    owner = kind.other(None, reference.table if at_child else reference.target, "t")
    if owner is not None:
        # Keys of different kinds can be equal.
        named = sql.SQL("{} || ({})").format(sql.Literal(f"{kind.subject.kind} "), owner)
        yield Neighbour(reference, at_child, named)


def queries(
    neighbours: tuple[Neighbour, ...], leaf: Name, oid: int, places: Sequence[str]
) -> list[sql.Composed]:
    """Write the queries for the digests of others' rows around those of ``leaf`` at ``places``, its ctids."""
    return [_query(neighbour, leaf, oid, places) for neighbour in neighbours]


def found(neighbours: tuple[Neighbour, ...], results: Sequence[Sequence[Mapping[str, Any]]]) -> Bystanders:
    """Return what ``queries`` have found: their ``results``."""
    owners, digests = dict[Place, str](), dict[Place, str]()
    for number, rows in enumerate(results):
        for row in rows:
            place = (number, row["oid"], row["place"])
            owners[place], digests[place] = row["owner"], row["digest"]
    return Bystanders(neighbours, owners, digests)


def _query(neighbour: Neighbour, leaf: Name, oid: int, places: Sequence[str]) -> sql.Composed:
    reference = neighbour.reference
    columns = reference.target_columns if neighbour.at_child else reference.columns
    return sql.SQL(
        """
        SELECT t.tableoid::bigint AS oid, t.ctid::text AS place, {other} AS owner,
               encode({row}, 'hex') AS digest
        FROM (SELECT DISTINCT b.tableoid, {columns} FROM ONLY {leaf} AS b
              WHERE b.ctid = ANY ({places})) AS b
        JOIN {table} AS t ON {joined}
        WHERE ({other}) IS NOT NULL
          AND (t.tableoid = {oid} AND t.ctid = ANY ({places})) IS NOT TRUE
        LIMIT {limit}
        """
    ).format(
        other=neighbour.other,
        row=collateral_check.row_digest(None),
        columns=sql.SQL(", ").join(sql.Identifier("b", column) for column in columns),
        leaf=leaf.identifier,
        places=collateral_check.tids(places),
        table=neighbour.table.identifier,
        joined=joined(reference, *(("t", "b") if neighbour.at_child else ("b", "t"))),
        oid=sql.Literal(oid),
        limit=sql.Literal(ROWS),
    )


def _is_by(reference: Reference, belonging: Belonging, ownership: Ownership) -> bool:
    """Tell whether rows of the role refer by this key to nobody but the subject."""
    way = belonging.way
    return (
        isinstance(way, ByColumn)
        and reference.target == ownership.subject.table
        and dict(zip(way.columns, way.holds, strict=True))
        == dict(zip(reference.columns, reference.target_columns, strict=True))
    )


def _indexed(reference: Reference, ownership: Ownership) -> bool:
    relation = ownership.catalogue.relations.get(reference.table)
    return relation is not None and any(
        set(index[: len(reference.columns)]) == set(reference.columns) for index in relation.leading
    )
