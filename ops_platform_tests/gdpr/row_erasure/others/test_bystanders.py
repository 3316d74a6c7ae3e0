"""Rows around those of a batch that are compared before and after: of others, whatever their kind."""

from __future__ import annotations

from psycopg import sql

from ops_platform.gdpr.data_map.model import Subject
from ops_platform.gdpr.row_erasure.others import bystanders
from ops_platform.gdpr.row_erasure.others.bystanders import Neighbour
from ops_platform.gdpr.row_erasure.others.owners import Ownership
from ops_platform.gdpr.schema import Name, Reference
from ops_platform.gdpr.subject import Identity
from ops_platform_tests.gdpr import catalogues
from ops_platform_tests.gdpr.catalogues import AUTHOR, NOTES, column, relation

STAFF, SHIFTS, STAMPS = (Name("public", name) for name in ("staff", "shifts", "stamps"))
STAFF_SUBJECT = Subject("employee", STAFF, ("id",), "email", ("id",), {})


def reference(child: Name, column_: str, parent: Name) -> Reference:
    name = f"{child.relation}_{column_}"
    return Reference(name, child, (column_,), parent, ("id",), "no action", False)


CATALOGUE = catalogues.catalogue(
    relation(NOTES, *map(column, ("id", "user_id", "shift_id"))),
    relation(STAFF, column("id")),
    relation(SHIFTS, column("id"), column("staff_id")),
    relation(STAMPS, column("id"), column("note_id"), column("staff_id")),
    references=(
        catalogues.REFERENCE,
        reference(NOTES, "shift_id", SHIFTS),
        reference(SHIFTS, "staff_id", STAFF),
        reference(STAMPS, "note_id", NOTES),
        reference(STAMPS, "staff_id", STAFF),
    ),
)
"""Notes of users that an employee's shift wrote down, stamped by employees."""


def around(*kinds: Subject, deleted: bool = True) -> list[Neighbour]:
    return [
        *bystanders.around(
            Ownership(catalogues.data_map().subject, CATALOGUE),
            Identity({"id": 5}),
            NOTES,
            AUTHOR,
            deleted=deleted,
            of_other_kinds=[Ownership(kind, CATALOGUE) for kind in kinds],
        )
    ]


def test_rows_of_another_kind_are_compared() -> None:
    assert SHIFTS not in [one.table for one in around()]
    found = around(STAFF_SUBJECT)
    assert {SHIFTS, STAMPS} <= {one.table for one in found}
    [shift] = [one for one in found if one.table == SHIFTS]
    text = sql.SQL("SELECT {}").format(shift.other).as_string(None)
    # Whose key is 5 is somebody else there.
    assert "'employee ' ||" in text
    assert "5" not in text


def test_who_refers_to_rows_that_stay_does_not_matter() -> None:
    assert [one.table for one in around(STAFF_SUBJECT, deleted=False)] == [SHIFTS]
