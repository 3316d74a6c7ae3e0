"""The order of an erasure follows what is done to rows: who stays can be referred to at any time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import (
    Anonymise,
    Belonging,
    ByColumn,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
    Table,
)
from ops_platform.gdpr.map_check import feasibility
from ops_platform.gdpr.row_erasure import plan
from ops_platform.gdpr.schema.reader import Catalogue, Reference
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr import catalogues
from ops_platform_tests.gdpr.catalogues import AUTHOR, column, relation

TEAMS, MEMBERS, ANSWERS = (Name("public", name) for name in ("teams", "members", "answers"))
NULL = Constant(None)


def table(name: Name, *belongings: Belonging) -> Table:
    return Table(name, "p", "r", frozenset(), frozenset({"id"}), {}, belongings)


def reference(name: str, child: Name, column_: str, parent: Name) -> Reference:
    return Reference(name, child, (column_,), parent, ("id",), "no action", False)


def role(name: str, column_: str, erasure: Delete | Anonymise | Keep) -> Belonging:
    return Belonging(name, ByColumn((column_,), ("id",)), erasure, "own")


def steps(data_map: DataMap, catalogue: Catalogue) -> list[str]:
    return [
        f"{step.kind} {step.table}/{step.belonging.role}"
        for step in plan.plan(data_map, catalogue).steps
        if step.table != catalogues.USERS
    ]


TWO = catalogues.catalogue(
    relation(TEAMS, column("id"), column("owner_id"), column("first_id", not_null=True)),
    relation(MEMBERS, column("id"), column("user_id"), column("team_id", not_null=True)),
    references=(
        reference("members_team", MEMBERS, "team_id", TEAMS),
        reference("teams_first", TEAMS, "first_id", MEMBERS),
    ),
)
"""Teams and members refer to each other by columns that cannot be empty, and no constraint can wait."""


@pytest.mark.parametrize(
    "kept",
    [Anonymise({"owner_id": NULL, "first_id": Constant("0")}), Keep("Art. 6", "P10Y")],
    ids=["anonymised", "kept"],
)
def test_a_parent_that_stays_closes_no_circle(kept: Anonymise | Keep) -> None:
    data_map = catalogues.data_map(
        table(TEAMS, role("owner", "owner_id", kept)), table(MEMBERS, role("member", "user_id", Delete()))
    )
    order = steps(data_map, TWO)
    if isinstance(kept, Anonymise):
        # It refers to what goes until its column is set.
        assert order.index("anonymise teams/owner") < order.index("delete members/member")
    assert "circle" not in [finding.code for finding in feasibility.check(data_map, TWO)]


def test_parents_that_go_close_one() -> None:
    data_map = catalogues.data_map(
        table(TEAMS, role("owner", "owner_id", Delete())), table(MEMBERS, role("member", "user_id", Delete()))
    )
    with pytest.raises(CheckFailed, match="refer to each other in a circle"):
        plan.plan(data_map, TWO)


ANSWERS_CATALOGUE = catalogues.catalogue(
    relation(ANSWERS, column("id"), column("user_id"), column("parent_id")),
    references=(reference("answers_parent", ANSWERS, "parent_id", ANSWERS),),
)
TO_OWN = Belonging("answer", ByParent(("parent_id",), ANSWERS, ("id",), ("author",)), Delete(), "none")


def test_rows_found_through_rows_of_their_own_table_come_before_those() -> None:
    letting_go = replace(TO_OWN, erasure=Anonymise({"parent_id": NULL}))
    data_map = catalogues.data_map(table(ANSWERS, replace(AUTHOR), letting_go))
    order = steps(data_map, ANSWERS_CATALOGUE)
    assert order.index("anonymise answers/answer") < order.index("delete answers/author")
    # The column by which answers are found is emptied in the subject's own rows alone.
    assert [step for step in order if step.startswith("empty")] == ["empty answers/author"]
    assert "reference-left" not in [found.code for found in feasibility.check(data_map, ANSWERS_CATALOGUE)]


def test_answers_to_answers_that_go_are_told() -> None:
    data_map = catalogues.data_map(table(ANSWERS, AUTHOR, TO_OWN))
    [left] = [
        found for found in feasibility.check(data_map, ANSWERS_CATALOGUE) if found.code == "reference-left"
    ]
    assert left.where == "answers.parent_id"


def test_a_column_by_which_rows_are_found_is_not_emptied_to_open_a_circle() -> None:
    teams = relation(TEAMS, column("id"), column("owner_id"), column("first_id"))
    members = relation(MEMBERS, column("id"), column("user_id"), column("team_id"))
    both = catalogues.catalogue(teams, members, references=TWO.references)
    through = Belonging("of team", ByParent(("team_id",), TEAMS, ("id",), ()), Delete(), "none")
    data_map = catalogues.data_map(table(TEAMS, role("owner", "owner_id", Delete())), table(MEMBERS, through))
    order = steps(data_map, both)
    assert [step for step in order if step.startswith("empty")] == ["empty teams/owner"]
    assert order.index("delete members/of team") < order.index("delete teams/owner")


def test_a_table_has_its_partitions_and_theirs() -> None:
    parts = [relation(Name("public", name), column("id")) for name in ("a", "b", "c", "d")]
    whole = Catalogue(
        {
            part.name: replace(part, parent=above.name if above else None)
            for part, above in zip(parts, (None, parts[0], parts[1], None), strict=True)
        },
        (),
    )
    assert {str(name) for name in whole.parts(parts[0].name)} == {"a", "b", "c"}
