"""Addresses of other accounts in which an identifier of the subject stands, as queries."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ops_platform.gdpr.data_map import DataMap, Subject
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.spellings import Sought, is_email, mailbox
from ops_platform.gdpr.subject.identity import Identity, is_subject

_ADDRESS = sql.SQL('lower(CAST(t.{} AS text) COLLATE "C")')


def of_mailbox(data_map: DataMap, catalogue: Catalogue, identity: Identity) -> sql.Composed | None:
    """Query those that differ from the subject's only behind a plus sign. None where they have none.

    Of accounts of all kinds. The query has one column, ``address``, in lower case.
    """
    own = [
        value for value in identity.of(data_map.subject.email) if isinstance(value, str) and is_email(value)
    ]
    queries = [
        _of_mailbox(data_map.subject, of_kind.subject, identity, own)
        for of_kind in (data_map, *data_map.others)
        # A restored database may not have it yet.
        if own and of_kind.subject.address[0] in catalogue.relations
    ]
    return sql.SQL(" UNION ").join(queries) if queries else None


def _of_mailbox(subject: Subject, accounts: Subject, identity: Identity, own: Sequence[str]) -> sql.Composed:
    table, column = accounts.address
    address = _ADDRESS.format(sql.Identifier(column))
    tests = []
    for local, domain in map(mailbox, own):
        tests.append(
            sql.SQL(
                "({address} = {plain} OR (starts_with({address}, {tagged}) AND {address} LIKE {domain}))"
            ).format(
                address=address,
                plain=sql.Literal(f"{local}@{domain}".lower()),
                tagged=sql.Literal(f"{local}+".lower()),
                domain=sql.Literal(
                    "%@" + domain.lower().replace("\\", r"\\").replace("_", r"\_").replace("%", r"\%")
                ),
            )
        )
    return _query(
        table,
        address,
        identity,
        sql.SQL("({}) AND {}").format(sql.SQL(" OR ").join(tests), _another(subject, table, identity)),
    )


def with_names(data_map: DataMap, catalogue: Catalogue, identity: Identity) -> list[sql.Composed]:
    """Query those whose first part is a name of the subject's that is no address, by table.

    Of accounts of all kinds. Each query has one column, ``address``, in lower case.
    """
    subject = data_map.subject
    names = [name for name in identity.names(subject) if isinstance(name, str) and not is_email(name)]
    sought = Sought.of(names)
    places = [
        place
        for accounts in (subject, *(other.subject for other in data_map.others))
        for place in (
            accounts.address,
            *((known.table, known.column) for known in accounts.known_by),
        )
    ]
    queries = []
    for table, name in dict.fromkeys(places) if sought.texts else ():
        relation = catalogue.relations.get(table)
        column = relation.columns.get(name) if relation else None
        if column is None or sought.value(column, sql.Identifier("t", name)) is None:
            continue
        address = _ADDRESS.format(sql.Identifier(name))
        holds = sql.SQL("position('@' IN {}) > 1 AND {} AND {}").format(
            address,
            _another(subject, table, identity),
            sought.mention(column, sql.SQL("split_part({}, '@', 1)").format(address)),
        )
        queries.append(_query(table, address, identity, holds))
    return queries


def _query(table: Name, address: sql.Composable, identity: Identity, test: sql.Composable) -> sql.Composed:
    values = [*identity.values.values(), *(value for many in identity.known_by.values() for value in many)]
    known = sorted({value.lower() for value in values if isinstance(value, str)})
    return sql.SQL(
        "SELECT DISTINCT {address} AS address FROM {table} AS t "
        "WHERE {address} <> ALL (CAST({known} AS text[])) AND {test}"
    ).format(address=address, table=table.identifier, known=sql.Literal(known), test=test)


def _another(subject: Subject, table: Name, identity: Identity) -> sql.Composable:
    """Write the condition that a row is not the subject's own, of which a later address may be known."""
    if table != subject.table or not set(subject.key) <= set(identity.values):
        return sql.SQL("true")
    return sql.SQL("NOT {}").format(is_subject(subject, identity, "t"))
