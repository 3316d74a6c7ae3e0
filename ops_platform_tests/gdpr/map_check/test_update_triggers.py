"""Triggers that would stop an erasure halfway are found by name, and those that would not are left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.gdpr.data_map.model import Anonymise, Constant, DataMap, Value
from ops_platform.gdpr.map_check import feasibility
from ops_platform.gdpr.schema import trigger_source
from ops_platform.gdpr.schema.reader import Trigger
from ops_platform_tests.gdpr.catalogues import (
    AUTHOR,
    NOTES_RELATION,
    NOTES_TABLE,
    catalogue,
    column,
    data_map,
)

RELATION = replace(
    NOTES_RELATION,
    columns={
        **NOTES_RELATION.columns,
        "changed_at": column("changed_at", "timestamp with time zone"),
        "search": column("search", "text"),
    },
)


def findings(
    source: str,
    value: Value = "pseudonym",
    *,
    declared: dict[str, str] | None = None,
    plain: frozenset[str] = frozenset({"id", "changed_at", "search"}),
    update_of: frozenset[str] = frozenset(),
) -> list[tuple[str, str]]:
    row = trigger_source.row_changes("keep", "plpgsql", f"BEGIN {source}; RETURN NEW; END", ())
    trigger = Trigger("kept", "keep", False, row=row, update_of=update_of)
    blanked = replace(AUTHOR, erasure=Anonymise({"user_id": Constant(None), "body": value}))
    table = replace(NOTES_TABLE, belongings=(blanked,), triggers=declared or {}, plain=plain)
    found: DataMap = data_map(table)
    return [
        (one.where, one.code)
        for one in feasibility.check(found, catalogue(replace(RELATION, triggers=(trigger,))))
    ]


UNDONE, CHANGED = [("notes.kept", "trigger-undoes")], [("notes.kept", "trigger-changes")]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("IF NEW.body IS NULL THEN NEW.body := OLD.body; END IF", Constant(None)),
        ("NEW.body := coalesce(NEW.body, 'none')", Constant(None)),
        ("NEW.body := 'Note of ' || NEW.user_id", "pseudonym"),
        ("NEW.body := lower(NEW.body)", Constant("Erased")),
        ("IF NEW.body <> OLD.body THEN RAISE EXCEPTION 'fixed'; END IF", "pseudonym"),
        ("IF NEW.locked THEN RETURN OLD; END IF", "pseudonym"),
    ],
)
def test_what_would_undo_or_refuse_a_change_is_found_by_name(source: str, value: Value) -> None:
    # Declaring it does not help.
    assert findings(source, value) == findings(source, value, declared={"kept": "why"}) == UNDONE


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("NEW.body := lower(NEW.body)", "pseudonym"),
        ("NEW.body := trim(NEW.body)", Constant("Erased")),
        ("NEW.body := lower(NEW.body)", Constant(None)),
        ("IF NEW.id <> OLD.id THEN RAISE EXCEPTION 'fixed'; END IF", "pseudonym"),
        ("NEW.search := lower(NEW.id)", "pseudonym"),
        ("IF NEW.search IS NULL THEN NEW.search := lower(NEW.body); END IF", "pseudonym"),
        ("IF NEW.body IS NULL THEN NEW.body := OLD.body; END IF", "pseudonym"),
        ("NEW.body := coalesce(NEW.body, OLD.body)", "pseudonym"),
    ],
)
def test_what_lets_a_change_pass_is_no_finding(source: str, value: Value) -> None:
    assert findings(source, value) == []


def test_what_changes_more_is_found_unless_it_is_declared_and_plain() -> None:
    source = "NEW.changed_at := now()"
    assert findings(source) == CHANGED
    assert (
        findings(source, declared={"other": "why"})
        == [
            finding
            for finding in findings(source, declared={"kept": "why"})
            if finding[1] == "trigger-changes"
        ]
        == []
    )
    assert findings(source, declared={"kept": "why"}, plain=frozenset({"id", "search"}))[0] == CHANGED[0]
    assert findings(source, update_of=frozenset({"id"})) == []
    assert findings(source, update_of=frozenset({"body"})) == CHANGED
