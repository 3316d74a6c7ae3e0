"""People are the same in Python and in SQL, and made to be mistaken for each other."""

from __future__ import annotations

import re

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.local.demo import people
from ops_platform.local.demo.seed.plan import plan
from ops_platform.local.demo.seed.statements import FUNCTIONS, parameters, text
from ops_platform_tests.local.demo.databases import DemoDatabase

numbers = st.integers(min_value=1, max_value=10**7)


@given(numbers)
def test_handles_are_plain_and_addresses_follow_them(n: int) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+\.\d+", people.handle(n))
    assert people.email(n).lower().startswith(people.handle(n) + "@example.")
    assert people.creator_id(n).version == 4


@given(numbers, numbers)
def test_nobody_is_anybody_else(one: int, other: int) -> None:
    if one != other:
        assert people.handle(one) != people.handle(other)
        assert people.creator_id(one) != people.creator_id(other)


def test_one_handle_is_the_beginning_of_another() -> None:
    short, long = people.PREFIX_PAIR
    assert people.handle(long).startswith(people.handle(short))


def test_names_hold_more_than_ascii() -> None:
    names = "".join(people.FIRST_NAMES + people.LAST_NAMES)
    assert not names.isascii()
    assert "'" in names


@pytest.mark.services
def test_sql_makes_the_same_people(demo_database: DemoDatabase) -> None:
    with psycopg.connect(demo_database.owner_url, autocommit=True) as connection:
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(text(FUNCTIONS).encode(), parameters(plan(1)))
        rows = connection.execute(
            "SELECT n, pg_temp.person(n), pg_temp.full_name(n), pg_temp.handle(n), pg_temp.email(n) "
            "FROM generate_series(1, 3000) AS n"
        ).fetchall()
    for n, key, full_name, handle, email in rows:
        assert (key, full_name, handle, email) == (
            people.creator_id(n),
            people.full_name(n),
            people.handle(n),
            people.email(n),
        )
