"""Erased again after a restore: what is older than the erasure goes, whoever came since is spared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.local.demo import people
from ops_platform_tests.gdpr.erasing import Product, erasing, left, map_of

pytestmark = pytest.mark.services

KEY = people.creator_id(2)
ANEW = UUID(int=9)


@pytest.fixture
def restored(demo_product: Product) -> Iterator[tuple[Connection, Connection]]:
    """The eraser's connection and the owner's, to a database in which the subject is as before."""
    with demo_product.eraser() as eraser, demo_product.owner() as owner:
        yield eraser, owner


def replayed(owner: Connection, eraser: Connection, data_map: DataMap) -> RowErasure:
    """The cutoff is after all that there is now."""
    what = erasing(eraser, data_map, str(KEY), replay=True)
    [row] = owner.execute("SELECT greatest(now(), max(occurred_at)) AS at FROM usage_logs").fetchall()
    return replace(what, cutoff=row["at"] + timedelta(hours=1))


def rows(owner: Connection, query: str, **named: object) -> list[object]:
    return [next(iter(row.values())) for row in owner.execute(query, named).fetchall()]


def register(owner: Connection, what: RowErasure, key: UUID) -> None:
    """The same person, a day after the erasure, with the same address and name, is active and watches."""
    later = what.cutoff + timedelta(days=1)
    names = {"key": key, "at": later, **{n: what.identity.values[n] for n in ("email", "handle")}}
    owner.execute("UPDATE creators SET email = 'old', handle = 'old' WHERE email = %(email)s", names)
    owner.execute(
        "INSERT INTO creators (id, handle, email, full_name, country, created_at) "
        "VALUES (%(key)s, %(handle)s, %(email)s, 'Anew', 'FR', %(at)s)",
        names,
    )
    owner.execute(
        "INSERT INTO posts (creator_id, title, body, created_at) VALUES (%(key)s, 'new', 'new', %(at)s)",
        names,
    )
    owner.execute(
        "INSERT INTO workflows (owner_id, name, definition, watcher_emails, created_at) "
        "SELECT id, 'new', jsonb_build_object('fallback', jsonb_build_object('notify', %(email)s::text)), "
        "ARRAY[%(email)s], %(at)s FROM creators WHERE number = 5",
        names,
    )
    owner.execute(
        "INSERT INTO audit_logs (occurred_at, subject_email, action, message) "
        "VALUES (%(at)s, %(email)s, 'login', 'new')",
        names,
    )


def test_who_is_back_is_erased_again(restored: tuple[Connection, Connection], demo_map: DataMap) -> None:
    eraser, owner = restored
    what = replayed(owner, eraser, demo_map)
    effects = row_erasure.erase(eraser, demo_map, catalogue.read(eraser), what)
    assert sum(one.changed for one in effects) > 20
    assert left(eraser, demo_map, what) == ([], [])
    assert rows(owner, "SELECT id FROM creators WHERE id = %(key)s", key=KEY) == []
    # And a residue scan that spares nobody finds nobody either.
    assert left(eraser, demo_map, replace(what, replay=False)) == ([], [])


def test_who_registered_since_with_the_same_address_is_spared(
    restored: tuple[Connection, Connection], demo_map: DataMap
) -> None:
    eraser, owner = restored
    what = replayed(owner, eraser, demo_map)
    register(owner, what, ANEW)
    row_erasure.erase(eraser, demo_map, catalogue.read(eraser), what)
    assert left(eraser, demo_map, what) == ([], [])
    assert rows(owner, "SELECT id FROM creators WHERE id = %(key)s", key=KEY) == []
    email = what.identity.values["email"]
    assert rows(owner, "SELECT id FROM creators WHERE email = %(email)s", email=email) == [ANEW]
    assert rows(owner, "SELECT title FROM posts WHERE creator_id = %(key)s", key=ANEW) == ["new"]
    assert rows(owner, "SELECT message FROM audit_logs WHERE subject_email = %(email)s", email=email) == [
        "new"
    ]
    assert rows(owner, "SELECT name FROM workflows WHERE %(email)s = ANY (watcher_emails)", email=email) == [
        "new"
    ]
    assert rows(
        owner, "SELECT name FROM workflows WHERE definition #>> '{fallback,notify}' = %(email)s", email=email
    ) == ["new"]


def test_who_is_there_anew_with_the_same_key_is_spared(
    restored: tuple[Connection, Connection], demo_map: DataMap
) -> None:
    eraser, owner = restored
    what = replayed(owner, eraser, demo_map)
    older = rows(owner, "SELECT id FROM usage_logs WHERE creator_id = %(key)s", key=KEY)
    profile = rows(owner, "SELECT bio FROM profiles WHERE creator_id = %(key)s", key=KEY)
    assert older
    assert profile
    later = what.cutoff + timedelta(days=1)
    owner.execute("UPDATE creators SET created_at = %s WHERE id = %s", (later, KEY))
    owner.execute(
        "INSERT INTO posts (creator_id, title, body, created_at) VALUES (%s, 'new', 'new', %s)", (KEY, later)
    )
    row_erasure.erase(eraser, demo_map, catalogue.read(eraser), what)
    assert left(eraser, demo_map, what) == ([], [])
    assert rows(owner, "SELECT id FROM creators WHERE id = %(key)s", key=KEY) == [KEY]
    assert rows(owner, "SELECT title FROM posts WHERE creator_id = %(key)s", key=KEY) == ["new"]
    assert rows(owner, "SELECT id FROM usage_logs WHERE creator_id = %(key)s", key=KEY) == []
    # Of what does not say when it came into being nobody can tell whose it is.
    assert rows(owner, "SELECT bio FROM profiles WHERE creator_id = %(key)s", key=KEY) == profile


def test_who_registers_anew_before_the_first_erasure_has_ended(
    restored: tuple[Connection, Connection], demo_map: DataMap
) -> None:
    """No replay: the same address in a row of the subject table that has another key is somebody else's."""
    eraser, owner = restored
    what = replace(replayed(owner, eraser, demo_map), replay=False)
    known = catalogue.read(eraser)
    row_erasure.erase(eraser, demo_map, known, what)
    owner.execute(
        "INSERT INTO creators (id, handle, email, full_name, country, created_at) "
        "VALUES (%s, %s, %s, 'A', 'FR', %s)",
        (ANEW, "another", what.identity.values["email"], what.cutoff + timedelta(days=1)),
    )
    row_erasure.erase(eraser, demo_map, known, what)
    assert left(eraser, demo_map, what) == ([], [])
    assert rows(owner, "SELECT id FROM creators WHERE id = %(key)s", key=ANEW) == [ANEW]


def test_rows_of_who_registers_anew_before_the_erasure_has_ended_are_their_own(
    restored: tuple[Connection, Connection], demo_map: DataMap
) -> None:
    eraser, owner = restored
    what = replace(replayed(owner, eraser, demo_map), replay=False)
    known = catalogue.read(eraser)
    row_erasure.erase(eraser, demo_map, known, what)
    register(owner, what, ANEW)
    email = what.identity.values["email"]
    owner.execute("INSERT INTO profiles (creator_id, display_name, bio) VALUES (%s, 'A', %s)", (ANEW, email))
    row_erasure.erase(eraser, demo_map, known, what)
    assert left(eraser, demo_map, what) == ([], [])
    assert rows(owner, "SELECT message FROM audit_logs WHERE subject_email = %(e)s", e=email) == ["new"]
    assert rows(owner, "SELECT name FROM workflows WHERE %(e)s = ANY (watcher_emails)", e=email) == ["new"]


def test_who_has_the_key_anew_keeps_rows_that_do_not_say_when_they_came(
    bare_product: Product, tmp_path: Path
) -> None:
    with bare_product.owner() as owner, bare_product.eraser() as eraser:
        owner.execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text, made timestamptz);"
            "CREATE TABLE letters (id int PRIMARY KEY, email text); CREATE INDEX ON letters (email);"
            "INSERT INTO users VALUES (1, 'anew@example.org', '2026-07-01');"
            "INSERT INTO letters VALUES (1, 'anew@example.org');"
        )
        data_map = map_of(
            tmp_path,
            """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {created: made, personal: [email], plain: [made], rows: [{role: a, column: id, erase: delete}]}
  letters: {plain: [id], rows: [{role: r, column: email, holds: email, erase: delete}]}
""",
        )
        what = erasing(eraser, data_map, "1", replay=True)
        row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        assert rows(owner, "SELECT id FROM letters") == [1]


def test_what_no_map_knows_is_found(restored: tuple[Connection, Connection], demo_map: DataMap) -> None:
    """A canary in a column of its own, and one in a view that is not refreshed by anybody else."""
    eraser, owner = restored
    what = replace(replayed(owner, eraser, demo_map), replay=False)
    owner.execute(
        "CREATE TABLE forgotten AS SELECT 'by ' || email AS note FROM creators WHERE id = %s", (KEY,)
    )
    row_erasure.erase(eraser, demo_map, catalogue.read(eraser), what)
    assert rows(owner, "SELECT handle FROM creator_stats WHERE creator_id = %(key)s", key=KEY) != []
    assert left(eraser, demo_map, what) == ([], ["forgotten.note"])
    assert rows(owner, "SELECT handle FROM creator_stats WHERE creator_id = %(key)s", key=KEY) == []
