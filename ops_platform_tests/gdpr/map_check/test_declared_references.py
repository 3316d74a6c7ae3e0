"""References that the map declares, before and after their values are looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops_platform.gdpr.map_check import declared_references
from ops_platform.gdpr.map_check.evidence import value_sampling
from ops_platform.gdpr.map_check.evidence.value_sampling import Share
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import (
    NOTES_RELATION,
    NOTES_TABLE,
    catalogue,
    column,
    data_map,
    relation,
)

THINGS = Name("public", "things")
NOBODY: Any = None


def codes(sampled: Share, type_: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[list[str]]:
    """The codes of findings and of doubts about a reference to things, of which this sample was taken."""
    monkeypatch.setattr(value_sampling, "share", lambda *_: sampled)
    link = column("thing_id", type_, **changes)
    notes = replace(NOTES_RELATION, columns={**NOTES_RELATION.columns, "thing_id": link})
    known = catalogue(notes, relation(THINGS, column("id", "bigint")))
    described = data_map(replace(NOTES_TABLE, refers={"thing_id": (THINGS, "id")}))
    return [
        [one.code for one in look(NOBODY, described, known)]
        for look in (declared_references.check, declared_references.doubts)
    ]


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (100, [[], []]),
        (95, [[], []]),
        # Rows that have gone since keep no request waiting.
        (94, [[], ["untrue-reference"]]),
        (50, [[], ["untrue-reference"]]),
        (49, [["untrue-reference"], ["untrue-reference"]]),
    ],
)
def test_values_that_are_not_there(
    there: int, found: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert codes(Share(100, there), "integer", monkeypatch) == found
    assert codes(Share(0, 0), "integer", monkeypatch) == [[], []]


def test_types_that_cannot_be_compared_are_found_before_the_values_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert codes(Share(9, 9), "character varying", monkeypatch) == [["other-type"], []]
    assert codes(Share(9, 9), "bigint", monkeypatch, array=True) == [["other-type"], []]
