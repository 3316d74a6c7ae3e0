"""Circles of roles and references: opened where some order finds all rows, refused where none does.

Random maps are carried out on rows in memory, step by step, as the plan says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import Anonymise, Belonging, ByColumn, ByParent, Constant, Delete, Table
from ops_platform.gdpr.row_erasure import plan
from ops_platform.gdpr.row_erasure.plan import Plan, Step
from ops_platform.gdpr.schema import Catalogue, Name, Reference
from ops_platform_tests import hypothesis_profile
from ops_platform_tests.gdpr import catalogues
from ops_platform_tests.gdpr.catalogues import column, relation

NULL = Constant(None)
LOGINS, INVITES, APPS, POSTS, MEDIA = (
    Name("public", name) for name in ("logins", "invites", "apps", "posts", "media")
)


def table(name: Name, *belongings: Belonging) -> Table:
    return Table(name, "p", "r", frozenset(), frozenset({"id"}), {}, belongings)


def direct(role: str, column_: str, erasure: Delete | Anonymise | None = None) -> Belonging:
    return Belonging(role, ByColumn((column_,), ("id",)), erasure or Delete(), "own")


def through(role: str, column_: str, parent: Name, *roles: str, to: str = "id", **set_: Any) -> Belonging:
    erasure = Anonymise(dict.fromkeys(set_["sets"], NULL)) if set_ else Delete()
    return Belonging(role, ByParent((column_,), parent, (to,), roles), erasure, "none")


def reference(child: Name, column_: str, parent: Name, *, deferrable: bool = False) -> Reference:
    name = f"{child.relation}_{column_}"
    return Reference(name, child, (column_,), parent, ("id",), "no action", deferrable)


def order(found: Plan) -> list[str]:
    return [
        f"{step.kind} {step.table}/{step.belonging.role}"
        for step in found.steps
        if step.table != catalogues.USERS
    ]


def test_tables_that_are_found_through_each_other_take_turns() -> None:
    """As logins that came by an invitation and through an application, and that have some of their own."""
    catalogue = catalogues.catalogue(
        relation(LOGINS, *map(column, ("id", "user_id", "invite_id", "app_id"))),
        relation(INVITES, column("id"), column("login_id", not_null=True)),
        relation(APPS, column("id"), column("login_id", not_null=True)),
        references=(
            reference(LOGINS, "user_id", catalogues.USERS),
            reference(LOGINS, "invite_id", INVITES),
            reference(LOGINS, "app_id", APPS),
            reference(INVITES, "login_id", LOGINS),
            reference(APPS, "login_id", LOGINS),
        ),
    )
    data_map = catalogues.data_map(
        table(
            LOGINS,
            direct("account", "user_id"),
            through("invited", "invite_id", INVITES, sets=["invite_id"]),
            through("made by", "app_id", APPS, "owner", sets=["app_id"]),
        ),
        table(INVITES, through("host", "login_id", LOGINS, "account")),
        table(APPS, through("owner", "login_id", LOGINS, "account")),
    )
    found = plan.plan(data_map, catalogue)
    steps = order(found)
    for first, then in (
        ("anonymise logins/invited", "delete invites/host"),
        ("anonymise logins/made by", "delete apps/owner"),
        ("delete invites/host", "delete logins/account"),
        ("delete apps/owner", "delete logins/account"),
    ):
        assert steps.index(first) < steps.index(then)
    assert found.deferred == ()


def test_rows_that_lead_to_others_are_left_to_the_role_in_which_they_do() -> None:
    data_map = catalogues.data_map(
        table(POSTS, direct("author", "user_id"), through("of medium", "medium_id", MEDIA, "owner")),
        table(MEDIA, direct("owner", "user_id"), through("of post", "post_id", POSTS, "author")),
    )
    catalogue = catalogues.catalogue(
        relation(POSTS, *map(column, ("id", "user_id", "medium_id"))),
        relation(MEDIA, *map(column, ("id", "user_id", "post_id"))),
    )
    left = {(step.table, step.belonging.role): step.left_to for step in plan.plan(data_map, catalogue).steps}
    assert left[POSTS, "author"] == left[MEDIA, "owner"] == ()
    assert {left[POSTS, "of medium"], left[MEDIA, "of post"]} <= {("author",), ("owner",), ()}
    assert any(left.values())


def test_answers_to_own_rows_are_found_until_all_of_them_are_gone() -> None:
    answers = through("answer", "parent_id", POSTS, "author")
    data_map = catalogues.data_map(table(POSTS, direct("author", "user_id"), answers))
    catalogue = catalogues.catalogue(relation(POSTS, *map(column, ("id", "user_id", "parent_id"))))
    found = plan.plan(data_map, catalogue)
    assert order(found)[:2] == ["delete posts/answer", "delete posts/author"] or order(found)[-2:] == [
        "delete posts/answer",
        "delete posts/author",
    ]
    [step] = [step for step in found.steps if step.belonging.role == "answer"]
    assert step.left_to == ("author",)


COVERS = (reference(POSTS, "cover_id", MEDIA), reference(MEDIA, "post_id", POSTS))


def test_a_column_through_which_others_are_found_is_not_emptied_before() -> None:
    """A post's cover would be found no more, and stay."""
    catalogue = catalogues.catalogue(
        relation(POSTS, *map(column, ("id", "user_id", "cover_id"))),
        relation(MEDIA, *map(column, ("id", "post_id"))),
        references=COVERS,
    )
    covers = Belonging("cover", ByParent(("id",), POSTS, ("cover_id",), ("author",)), Delete(), "own")
    data_map = catalogues.data_map(table(POSTS, direct("author", "user_id")), table(MEDIA, covers))
    with pytest.raises(CheckFailed, match="circle"):
        plan.plan(data_map, catalogue)
    late = replace(catalogue, references=tuple(replace(one, deferrable=True) for one in COVERS))
    found = plan.plan(data_map, late)
    assert found.deferred
    assert not [step for step in found.steps if step.kind == "empty" and "cover_id" in step.columns]


def test_the_message_says_what_can_help() -> None:
    """No column and no constraint does where rows are found through each other."""
    sets = ["user_id"]
    data_map = catalogues.data_map(
        table(
            POSTS, direct("author", "user_id"), through("of medium", "medium_id", MEDIA, "owner", sets=sets)
        ),
        table(MEDIA, direct("owner", "user_id"), through("of post", "post_id", POSTS, "author", sets=sets)),
    )
    with pytest.raises(CheckFailed, match=r"posts \(of medium\)") as caught:
        plan.plan(data_map, catalogues.CATALOGUE)
    assert "leave one of these roles out" in str(caught.value)
    assert "nullable" not in str(caught.value)


# --- any map -----------------------------------------------------------------------------------------------

TABLES = [Name("public", name) for name in ("a", "b", "c")]
COLUMNS = ("x", "y")
Row = dict[str, int | None]
Rows = dict[Name, list[Row]]
KEY = 1


@st.composite
def maps(draw: st.DrawFn) -> tuple[list[Table], Catalogue]:
    tables: list[Table] = []
    for name in TABLES:
        roles = [direct("own", draw(st.sampled_from(COLUMNS)), draw(erasures()))]
        tables.append(table(name, *roles))
    for _ in range(draw(st.integers(0, 4))):
        number = draw(st.integers(0, len(TABLES) - 1))
        parent = draw(st.sampled_from(tables))
        found = draw(st.sampled_from([belonging.role for belonging in parent.belongings]))
        way = ByParent(
            (draw(st.sampled_from((*COLUMNS, "id"))),),
            parent.name,
            (draw(st.sampled_from(("id", "x"))),),
            (found,),
        )
        role = Belonging(f"role {len(tables[number].belongings)}", way, draw(erasures()), "none")
        tables[number] = replace(tables[number], belongings=(*tables[number].belongings, role))
    references = draw(
        st.lists(
            st.builds(
                reference,
                st.sampled_from(TABLES),
                st.sampled_from(COLUMNS),
                st.sampled_from(TABLES),
                deferrable=st.booleans(),
            ),
            max_size=4,
            unique_by=lambda one: (one.table, one.columns),
        )
    )
    relations = [
        relation(
            name, column("id", not_null=True), *(column(one, not_null=draw(st.booleans())) for one in COLUMNS)
        )
        for name in TABLES
    ]
    return tables, catalogues.catalogue(*relations, references=tuple(references))


def erasures() -> st.SearchStrategy[Delete | Anonymise]:
    return st.one_of(
        st.just(Delete()), st.sampled_from(COLUMNS).map(lambda column_: Anonymise({column_: NULL}))
    )


def rows() -> st.SearchStrategy[Rows]:
    value = st.one_of(st.none(), st.integers(1, 4))
    row = st.fixed_dictionaries({"x": value, "y": value})
    return st.fixed_dictionaries(
        {
            name: st.lists(row, max_size=4).map(
                lambda made: [{"id": number, **row} for number, row in enumerate(made, 1)]
            )
            for name in TABLES
        }
    )


def is_theirs(data: Rows, tables: dict[Name, Table], belonging: Belonging, row: Row) -> bool:
    way = belonging.way
    if isinstance(way, ByColumn):
        return row[way.columns[0]] == KEY
    assert isinstance(way, ByParent)
    [parents] = [one for one in tables[way.table].belongings if one.role in way.roles]
    held = {parent[way.to[0]] for parent in data[way.table] if is_theirs(data, tables, parents, parent)} - {
        None
    }
    return row[way.columns[0]] in held


def carry_out(step: Step, data: Rows, tables: dict[Name, Table]) -> None:
    roles = {one.role: one for one in tables[step.table].belongings}
    # One row a batch: what was found is looked at again before it is changed.
    for row in [row for row in data[step.table] if is_theirs(data, tables, step.belonging, row)]:
        if not is_theirs(data, tables, step.belonging, row):
            continue
        if any(is_theirs(data, tables, roles[role], row) for role in step.left_to):
            continue
        erasure = step.belonging.erasure
        if step.kind == "delete":
            data[step.table].remove(row)
        else:
            row.update(dict.fromkeys(step.columns or erasure.columns))  # type: ignore[union-attr]


@settings(max_examples=hypothesis_profile.examples(60))
@given(maps(), rows())
def test_whatever_was_the_subjects_is_erased_in_one_pass(
    made: tuple[list[Table], Catalogue], data: Rows
) -> None:
    listed, catalogue = made
    tables = {one.name: one for one in listed}
    try:
        found = plan.plan(catalogues.data_map(*listed), catalogue)
    except CheckFailed:
        return
    expected = [
        (name, row["id"], belonging)
        for name in TABLES
        for belonging in tables[name].belongings
        for row in data[name]
        if is_theirs(data, tables, belonging, row)
    ]
    for step in found.steps:
        if step.table in tables:
            carry_out(step, data, tables)
    gone = {(name, number) for name, number, belonging in expected if belonging.erasure == Delete()}
    for name, number, belonging in expected:
        left = [row for row in data[name] if row["id"] == number]
        if belonging.erasure == Delete():
            assert left == []
        elif left and (name, number) not in gone:
            assert isinstance(belonging.erasure, Anonymise)
            assert [left[0][column_] for column_ in belonging.erasure.columns] == [None]
