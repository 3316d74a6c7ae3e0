"""Terms against a catalogue: what keeps them from being carried out is said before anything goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.data_map.retention_term import Period, RetentionTerm
from ops_platform.gdpr.retention.due_rows import DueRows
from ops_platform.gdpr.retention.term_check import check, with_declared
from ops_platform.gdpr.schema.reader import Catalogue, Reference, Trigger
from ops_platform_tests.gdpr import catalogues
from ops_platform_tests.gdpr.catalogues import NOTES, NOTES_TABLE, USERS, USERS_TABLE, column

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = RetentionTerm(Period(12), "at")
ZONED = "timestamp with time zone"


def noted(term: RetentionTerm = YEAR) -> DataMap:
    return catalogues.data_map(replace(NOTES_TABLE, term=term))


def with_at(type_: str | None = ZONED, **changes: object) -> Catalogue:
    columns = dict(catalogues.NOTES_RELATION.columns)
    if type_ is not None:
        columns["at"] = column("at", type_)
    return catalogues.catalogue(replace(catalogues.NOTES_RELATION, columns=columns, **changes))  # type: ignore[arg-type]


def codes(data_map: DataMap, catalogue: Catalogue) -> list[tuple[str, str]]:
    return [(one.where, one.code) for one in check(data_map, catalogue)]


@pytest.mark.parametrize(
    ("type_", "zone", "found"),
    [
        (ZONED, None, []),
        ("timestamp without time zone", "UTC", []),
        ("date", "Europe/Paris", []),
        ("timestamp without time zone", None, [("notes.at", "no-zone")]),
        ("date", None, [("notes.at", "no-zone")]),
        ("text", "UTC", [("notes.at", "other-type")]),
        (None, None, [("notes.at", "no-such-column")]),
    ],
)
def test_a_term_runs_from_a_time_whose_zone_is_known(
    type_: str | None, zone: str | None, found: list[tuple[str, str]]
) -> None:
    assert codes(noted(replace(YEAR, zone=zone)), with_at(type_)) == found


def test_what_hides_or_copies_rows_is_named() -> None:
    assert codes(noted(), with_at(row_security=True)) == [("notes", "row-security")]
    assert codes(noted(), with_at(triggers=(Trigger("copy", "copy", True),))) == [("notes.copy", "trigger")]
    assert codes(noted(), with_at(kind="foreign")) == [("notes", "no-term")]


def test_new_values_must_fit() -> None:
    values = replace(YEAR, values={"id": None, "gone": 1, "body": "x"})
    columns = {
        "at": column("at", ZONED),
        "id": column("id", not_null=True),
        "body": column("body", generated=True),
    }
    known = catalogues.catalogue(replace(catalogues.NOTES_RELATION, columns=columns))
    assert codes(noted(values), known) == [
        ("notes.body", "generated"), ("notes.gone", "no-such-column"), ("notes.id", "not-null"),
    ]  # fmt: skip


def test_each_row_is_asked_who_refers_to_it_so_an_index_must_answer() -> None:
    users = replace(USERS_TABLE, term=replace(YEAR, of="seen"))
    columns = {**catalogues.USERS_RELATION.columns, "seen": column("seen", ZONED)}
    relation = replace(catalogues.USERS_RELATION, columns=columns)
    bare = replace(catalogues.NOTES_RELATION, leading=frozenset())
    assert codes(catalogues.data_map(users), catalogues.catalogue(relation)) == []
    assert codes(catalogues.data_map(users), catalogues.catalogue(relation, bare)) == [
        ("notes.user_id", "no-index")
    ]


def test_a_reference_that_the_map_declares_counts_as_one() -> None:
    declaring = replace(NOTES_TABLE, refers={"body": (USERS, "id")})
    term = replace(YEAR, of="seen")
    columns = {**catalogues.USERS_RELATION.columns, "seen": column("seen", ZONED)}
    known = catalogues.catalogue(replace(catalogues.USERS_RELATION, columns=columns), references=())
    data_map = catalogues.data_map(replace(USERS_TABLE, term=term), declaring)
    assert codes(data_map, known) == [("notes.body", "other-type")]
    [reference] = with_declared(data_map, known).references
    assert (reference.table, reference.target) == (NOTES, USERS)


def test_a_circle_is_known_as_one() -> None:
    own = Reference("up", NOTES, ("body",), NOTES, ("id",), "no action", False)
    known = Catalogue(with_at().relations, (own,))
    assert DueRows(noted(), known, NOW).is_circular(NOTES)
    assert not DueRows(noted(), with_at(), NOW).is_circular(NOTES)
    assert not DueRows(noted(replace(YEAR, values={"body": None})), known, NOW).is_circular(NOTES)
