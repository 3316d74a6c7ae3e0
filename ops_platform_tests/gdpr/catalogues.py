"""A small map and the catalogue that it fits, for tests of what a check of the two finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ops_platform.gdpr.data_map.model import (
    Anonymise,
    Belonging,
    ByColumn,
    Constant,
    DataMap,
    Delete,
    Subject,
    Table,
    View,
)
from ops_platform.gdpr.schema.reader import Catalogue, Column, Reference, Relation
from ops_platform.gdpr.schema.relation_name import Name

USERS, NOTES = Name("public", "users"), Name("public", "notes")


def column(name: str, type_: str = "uuid", **changes: Any) -> Column:
    made = Column(name, type_, type_, False, False, False, False, False)
    return replace(made, **changes)


def relation(name: Name, *columns: Column, key: tuple[str, ...] = ("id",), **changes: Any) -> Relation:
    made = Relation(
        name,
        "table",
        {one.name: one for one in columns},
        key,
        leading=frozenset({(one.name,) for one in columns}),
        indexed=frozenset(one.name for one in columns),
    )
    return replace(made, **changes)


USERS_RELATION = relation(USERS, column("id"), column("email", "text"))
NOTES_RELATION = relation(NOTES, column("id"), column("user_id"), column("body", "text"))
REFERENCE = Reference("notes_user", NOTES, ("user_id",), USERS, ("id",), "no action", False)
CATALOGUE = Catalogue({USERS: USERS_RELATION, NOTES: NOTES_RELATION}, (REFERENCE,))

ACCOUNT = Belonging("account", ByColumn(("id",), ("id",)), Delete(), "own")
AUTHOR = Belonging("author", ByColumn(("user_id",), ("id",)), Delete(), "own")
BLANKED = replace(AUTHOR, erasure=Anonymise({"user_id": Constant(None), "body": "pseudonym"}))
USERS_TABLE = Table(USERS, "p", "r", frozenset({"email"}), frozenset(), {}, (ACCOUNT,))
NOTES_TABLE = Table(NOTES, "p", "r", frozenset({"body"}), frozenset({"id"}), {}, (AUTHOR,))


def catalogue(*relations: Relation, references: tuple[Reference, ...] = (REFERENCE,)) -> Catalogue:
    """The small one with these relations in place of, or beside, its own."""
    return Catalogue({**CATALOGUE.relations, **{one.name: one for one in relations}}, references)


def data_map(*tables: Table, views: tuple[View, ...] = (), **subject: Any) -> DataMap:
    """The small one with these tables in place of, or beside, its own; ``subject``: its changes."""
    return DataMap(
        version="1",
        subject=replace(Subject("user", USERS, ("id",), "email", ("id",), {}), **subject),
        tables={one.name: one for one in (USERS_TABLE, NOTES_TABLE, *tables)},
        views={one.name: one for one in views},
        objects=(),
        cache=(),
        processors=(),
    )
