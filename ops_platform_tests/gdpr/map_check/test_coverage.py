"""What a map does not classify, and what it classifies that is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import ByArray, ByJson, DataMap, View
from ops_platform.gdpr.map_check.coverage import SampledPaths, check
from ops_platform.gdpr.schema.reader import Catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    CATALOGUE,
    NOTES,
    NOTES_RELATION,
    NOTES_TABLE,
    catalogue,
    column,
    data_map,
    relation,
)

NEW = Name("public", "new")
WITH_DOCUMENT = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "seen": column("seen", "jsonb")})
DOCUMENTED = replace(NOTES_TABLE, documents={"seen": {JsonPath.parse("at"): "plain"}})
READER = replace(AUTHOR, role="reader", way=ByJson("seen", JsonPath.parse("by"), "id"))
PATHS = {(NOTES, "seen"): [JsonPath.parse("at"), JsonPath.parse("by")]}


def found(
    what: DataMap, where: Catalogue = CATALOGUE, seen: SampledPaths | None = None
) -> list[tuple[str, str]]:
    return [(one.where, one.code) for one in check(what, where, seen or {})]


def of_kind(kind: str, *columns: str, **changes: object) -> Catalogue:
    made = relation(NEW, *(column(name) for name in columns))
    return catalogue(replace(made, kind=kind, **changes))  # type: ignore[arg-type]


VIEW = View(NEW, frozenset({"email"}), frozenset())


@pytest.mark.parametrize(
    ("what", "where", "seen"),
    [
        (data_map(), CATALOGUE, {}),
        (data_map(), of_kind("partition", "id"), {}),
        (data_map(), of_kind("child", "id", "body", parent=NOTES), {}),
        (data_map(views=(VIEW,)), of_kind("view", "email"), {}),
        (data_map(views=(VIEW,)), of_kind("matview", "email"), {}),
        (data_map(replace(DOCUMENTED, belongings=(AUTHOR, READER))), catalogue(WITH_DOCUMENT), PATHS),
    ],
)
def test_what_is_named_wholly_has_no_findings(what: DataMap, where: Catalogue, seen: SampledPaths) -> None:
    assert found(what, where, seen) == []


@pytest.mark.parametrize("kind", ["table", "partitioned", "foreign", "view", "matview"])
def test_a_relation_that_the_map_does_not_know(kind: str) -> None:
    assert found(data_map(), of_kind(kind, "id")) == [("new", "unclassified-relation")]


def test_a_foreign_child_is_named_even_if_it_holds_no_more_than_its_parent() -> None:
    assert found(data_map(), of_kind("foreign", "id", parent=NOTES)) == [("new", "unclassified-relation")]


@pytest.mark.parametrize("parent", [NOTES, Name("public", "gone"), None])
def test_a_child_that_holds_more_than_its_parent(parent: Name | None) -> None:
    child = of_kind("child", "id", "secret", parent=parent)
    assert found(data_map(), child) == [("new", "unclassified-relation")]


@pytest.mark.parametrize(
    ("what", "where", "findings"),
    [
        (
            data_map(),
            catalogue(replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "ip": column("ip")})),
            [("notes.ip", "unclassified-column")],
        ),
        (
            data_map(replace(NOTES_TABLE, plain=frozenset({"id", "ip"}))),
            CATALOGUE,
            [("notes.ip", "no-such-column")],
        ),
        (data_map(replace(NOTES_TABLE, name=NEW)), CATALOGUE, [("new", "no-such-table")]),
        (data_map(replace(NOTES_TABLE, name=NEW)), of_kind("view", "id"), [("new", "no-such-table")]),
        (data_map(views=(VIEW,)), CATALOGUE, [("new", "no-such-view")]),
        (data_map(views=(VIEW,)), of_kind("view", "email", "ip"), [("new.ip", "unclassified-column")]),
        (
            data_map(replace(NOTES_TABLE, plain=frozenset({"id", "user_id"}))),
            CATALOGUE,
            [("notes.user_id", "classified-twice")],
        ),
        (
            data_map(replace(NOTES_TABLE, plain=frozenset({"id", "user_id"}), belongings=())),
            CATALOGUE,
            [("notes", "nobodys")],
        ),
        (data_map(), catalogue(replace(NOTES_RELATION, kind="foreign")), [("notes", "foreign-table")]),
        (
            data_map(replace(NOTES_TABLE, triggers={"copy": "why"})),
            CATALOGUE,
            [("notes.copy", "no-such-trigger")],
        ),
        (data_map(replace(NOTES_TABLE, purpose="TODO: why")), CATALOGUE, [("notes", "undecided")]),
        (data_map(replace(NOTES_TABLE, retention="TODO")), CATALOGUE, [("notes", "undecided")]),
        (
            data_map(replace(NOTES_TABLE, belongings=(replace(AUTHOR, way=ByArray("user_id", "id")),))),
            CATALOGUE,
            [("notes.user_id", "no-array")],
        ),
        (
            data_map(replace(NOTES_TABLE, belongings=(AUTHOR, READER))),
            catalogue(WITH_DOCUMENT),
            [("notes.seen", "unclassified-document")],
        ),
        (
            data_map(DOCUMENTED),
            catalogue(
                replace(WITH_DOCUMENT, columns={**WITH_DOCUMENT.columns, "seen": column("seen", "text")})
            ),
            [("notes.seen", "no-document")],
        ),
    ],
)
def test_one_thing_is_wrong(what: DataMap, where: Catalogue, findings: list[tuple[str, str]]) -> None:
    assert found(what, where) == findings


def test_a_path_in_documents_that_the_map_does_not_name() -> None:
    assert found(data_map(DOCUMENTED), catalogue(WITH_DOCUMENT), PATHS) == [
        (f"notes.seen {JsonPath.parse('by')}", "unclassified-document")
    ]
