"""Names of relations and places in documents: reading gives what was written, whatever they hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ops_platform.gdpr.data_map.json_path import EVERY, JsonPath, leaves
from ops_platform.gdpr.schema.relation_name import Name

part = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(part, part)
def test_a_name_is_read_as_it_is_written(schema: str, relation: str) -> None:
    name = Name(schema, relation)
    assert Name.parse(str(name)) == name


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', '""', '"a"b'])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a relation's name"):
        Name.parse(text)


def test_names_are_not_folded() -> None:
    assert Name.parse("Billing Details") == Name("public", "Billing Details")
    assert Name.parse('old."a.b"') == Name("old", "a.b")


@example(["$"])
@example(["$0", "$"])
@example(["a", "$b"])
@given(st.lists(st.just(EVERY) | part.filter(lambda one: one != EVERY), min_size=1))
def test_a_path_is_read_as_it_is_written(steps: list[str]) -> None:
    path = JsonPath(tuple(steps))
    assert JsonPath.parse(str(path)) == path


@pytest.mark.parametrize("text", ["", "a..b", "a[0]", "a b", ".", "a.", "[*", "a[*]b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        JsonPath.parse(text)


@pytest.mark.parametrize(
    ("document", "places"),
    [
        ({"a": {"b": 1}, "c": [1, 2]}, {"a.b", "c[*]"}),
        ({"a": [{"id": 1, "tags": ["x"]}, {"id": 2}]}, {"a[*].id", "a[*].tags[*]"}),
        ({"a": [], "b": {}, "c": None}, {"c"}),
        ([1, [2]], {"[*]", "[*][*]"}),
        ("x", {"$"}),
    ],
)
def test_where_a_document_holds_values(document: Any, places: set[str]) -> None:
    assert {str(one) for one in leaves(document)} == places
