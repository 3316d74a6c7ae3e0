"""The subject's name becomes somebody else's before the erasure has ended: what goes, and what is theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.requests import work_queue as work
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.gdpr.subject.name_reuse import FirstErasure
from ops_platform_tests.gdpr.erasing import CUTOFF, Product, erasing, left, map_of
from ops_platform_tests.gdpr.erasure_scene import Scene, work_on

pytestmark = pytest.mark.services

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ADDRESS = "anna@example.org"
"""What every request of these tests came from."""


def erase(place: Scene, request_id: str) -> None:
    opened = replace(place.context(), letter_seconds=0.0)
    work_on(place.ops_url, request_id, lambda: opened)


def waiting(place: Scene) -> str:
    """A request whose rows are erased, while the letter to a processor does not leave."""
    with place.requests.database.superuser() as superuser:
        superuser.execute("DROP TRIGGER letters_leave ON mail_outbox")
    request_id = place.request()
    look_again(place, request_id)
    return request_id


def look_again(place: Scene, request_id: str) -> None:
    with pytest.raises(work.NotYet, match="letter"):
        erase(place, request_id)
    place.at_once()


def ends(place: Scene, request_id: str) -> None:
    place.requests.sent()
    place.at_once()
    erase(place, request_id)
    assert place.requests.row(request_id)["status"] == "completed"
    assert place.rows_of() == 0


def writer(place: Scene) -> UUID:
    """Somebody who is neither the subject nor the neighbour, who takes the name in most of these tests."""
    return next(one for one in place.keys_of_others["creators"] if one not in (place.who, place.neighbour))


def ask(place: Scene, query: str, **values: Any) -> list[Any]:
    with place.product.owner() as owner:
        named = {"who": place.who, "neighbour": place.neighbour, "writer": writer(place), **values}
        cursor = owner.execute(query, named)
        return [] if cursor.description is None else [next(iter(row.values())) for row in cursor]


def rename(place: Scene, handle: str) -> None:
    """An account that is older than the erasure takes the name."""
    ask(place, "UPDATE creators SET handle = %(handle)s WHERE id = %(neighbour)s", handle=handle)


def register(place: Scene, email: str) -> UUID:
    key = uuid4()
    ask(
        place,
        "INSERT INTO creators (id, handle, email, full_name, country) "
        "VALUES (%(key)s, 'somebody.new', %(email)s, 'Somebody', 'FR')",
        key=key,
        email=email,
    )
    return key


def post(place: Scene, handle: str, at: datetime | None = None) -> int:
    """Of somebody else, mentions whoever is called so."""
    [number] = ask(
        place,
        "INSERT INTO posts (creator_id, title, body, metadata, created_at) "
        "VALUES (%(writer)s, 'a', 'b', %(doc)s, coalesce(%(at)s, now())) RETURNING id",
        doc=Jsonb({"mentions": [handle]}),
        at=at,
    )
    return int(number)


def mentions(place: Scene, number: int) -> Any:
    [found] = ask(place, "SELECT metadata -> 'mentions' FROM posts WHERE id = %(number)s", number=number)
    return found


def watch(place: Scene, email: str) -> UUID:
    [number] = ask(
        place,
        "INSERT INTO workflows (owner_id, name, definition, watcher_emails) "
        "VALUES (%(writer)s, 'new', %(doc)s, ARRAY[%(email)s]) RETURNING id",
        doc=Jsonb({"fallback": {"notify": email}}),
        email=email,
    )
    assert isinstance(number, UUID)
    return number


def log(place: Scene, email: str, at: datetime | None = None) -> int:
    [number] = ask(
        place,
        "INSERT INTO audit_logs (subject_email, action, message, occurred_at) "
        "VALUES (%(email)s, 'login', 'x', coalesce(%(at)s, now())) RETURNING id",
        email=email,
        at=at,
    )
    return int(number)


def logged(place: Scene, number: int) -> Any:
    [found] = ask(place, "SELECT subject_email FROM audit_logs WHERE id = %(number)s", number=number)
    return found


@pytest.mark.full
def test_who_takes_the_handle_while_letters_wait_keeps_it_and_what_names_them(place: Scene) -> None:
    handle = str(place.identity.values["handle"])
    old = post(place, "somebody.else", LONG_AGO)
    request_id = waiting(place)
    rename(place, handle)
    # In a post from before the erasure too, and in words: nobody else is called so.
    ask(
        place,
        "UPDATE posts SET metadata = %(doc)s WHERE id = %(old)s",
        doc=Jsonb({"mentions": [handle]}),
        old=old,
    )
    new = post(place, handle)
    ask(
        place,
        "INSERT INTO comments (post_id, author_id, body) VALUES (%(new)s, %(writer)s, %(body)s)",
        new=new,
        body=f"by {handle}.",
    )
    place.cache.set_many({f"handle:{handle}": "page"})
    for _ in range(2):
        look_again(place, request_id)
    ends(place, request_id)
    assert ask(place, "SELECT id FROM creators WHERE handle = %(handle)s", handle=handle) == [place.neighbour]
    assert (mentions(place, old), mentions(place, new)) == ([handle], [handle])
    assert list(place.cache.keys("handle:")) == [f"handle:{handle}"]


def test_who_registers_with_the_address_while_letters_wait_keeps_it(place: Scene) -> None:
    email = str(place.identity.values["email"])
    request_id = waiting(place)
    # As it is written by some: the residue scan knows no capitals.
    key = register(place, email.upper())
    workflow, entry = watch(place, email.upper()), log(place, email.upper())
    look_again(place, request_id)
    ends(place, request_id)
    assert ask(place, "SELECT id FROM creators WHERE email = %(email)s", email=email.upper()) == [key]
    assert logged(place, entry) == email.upper()
    assert ask(place, "SELECT id FROM workflows WHERE watcher_emails = ARRAY[%(e)s]", e=email.upper()) == [
        workflow
    ]


@pytest.mark.full
def test_what_nothing_tells_from_the_other_fails_and_says_so(place: Scene) -> None:
    """Words in a row from before the erasure: of the subject then, or of the other now."""
    handle = str(place.identity.values["handle"])
    old = post(place, "somebody.else", LONG_AGO)
    request_id = waiting(place)
    rename(place, handle)
    ask(place, "UPDATE posts SET body = %(body)s WHERE id = %(old)s", body=f"by {handle}", old=old)
    place.requests.sent()
    with pytest.raises(CheckFailed, match=r"posts\.body \(1 rows\), or another creator who has their handle"):
        erase(place, request_id)
    assert ask(place, "SELECT body FROM posts WHERE id = %(old)s", old=old) == [f"by {handle}"]
    ask(place, "UPDATE posts SET body = 'by them' WHERE id = %(old)s", old=old)
    ends(place, request_id)


@pytest.mark.full
def test_a_new_line_of_the_map_is_carried_out_before_the_name_is_the_others(place: Scene) -> None:
    """Rows that the map only accepted when the subject's were erased are from before."""
    handle = str(place.identity.values["handle"])
    ask(place, "CREATE TABLE notes (id int PRIMARY KEY, handle text, at timestamptz)")
    ask(place, "CREATE INDEX ON notes (handle)")
    _add(place, "tables:\n", "  notes: {purpose: x, retention: x, plain: [id, handle, at]}\n")
    old = "INSERT INTO notes VALUES (1, %(handle)s, '2020-01-01')"
    ask(place, old, handle=handle)
    accepted = "accepted: [{place: notes.handle, because: Not decided yet.}]\n"
    _replace(place, "views:\n", f"{accepted}views:\n")
    request_id = waiting(place)
    _replace(place, accepted, "")
    _replace(
        place,
        "plain: [id, handle, at]}",
        "plain: [id, at], created: at, "
        "rows: [{role: named, column: handle, holds: handle, erase: delete, export: none}]}",
    )
    rename(place, handle)
    ask(place, "INSERT INTO notes VALUES (2, %(handle)s, now())", handle=handle)
    ends(place, request_id)
    assert ask(place, "SELECT id FROM notes") == [2]


def _add(place: Scene, at: str, line: str) -> None:
    _replace(place, at, at + line)


def _replace(place: Scene, old: str, new: str) -> None:
    file = place.settings.config_dir / "data_map.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.full
def test_objects_below_a_name_are_the_others_from_then_on(place: Scene) -> None:
    handle = str(place.identity.values["handle"])
    _add(place, "objects:\n", '  - {bucket: media, prefix: "pages/{handle}/", purpose: x, export: false}\n')
    place.media.put(f"pages/{handle}/a", b"the subject's")
    request_id = waiting(place)
    assert list(place.media.versions(f"pages/{handle}/")) == []
    rename(place, handle)
    place.media.put(f"pages/{handle}/a", b"the other's")
    place.media.put(f"pages/{handle}/a", b"the other's, once more")
    look_again(place, request_id)
    ends(place, request_id)
    assert sum(1 for _ in place.media.versions(f"pages/{handle}/")) == 2


@pytest.mark.full
def test_an_old_name_is_erased_by_the_age_of_rows_when_another_has_it_before_that(place: Scene) -> None:
    """The subject is renamed, and somebody else takes the old name, before any row was erased."""
    handle = str(place.identity.values["handle"])
    request_id = place.request()
    assert place.worker(request_id, "objects", "after") == "KILLED"
    ask(place, "UPDATE creators SET handle = 'renamed.person' WHERE id = %(who)s")
    rename(place, handle)
    old, new = post(place, handle, LONG_AGO), post(place, handle)
    place.at_once()
    assert place.worker(request_id) == "DONE"
    assert place.rows_of() == 0
    assert (mentions(place, old), mentions(place, new)) == ([], [handle])
    assert ask(place, "SELECT id FROM creators WHERE handle = %(handle)s", handle=handle) == [place.neighbour]


@pytest.fixture
def deleted_by_the_product(place: Scene) -> Callable[[], None]:
    def delete() -> None:
        with place.product.eraser() as eraser:
            known = catalogue.read(eraser)
            who = subject_rows.identity(eraser, place.data_map, known, str(place.who))
            assert who is not None
            row_erasure.erase(eraser, place.data_map, known, RowErasure("x", who, datetime.now(UTC)))
            row_erasure.forget(eraser, "x")

    return delete


def test_who_registers_with_the_requests_address_before_the_erasure_keeps_it(
    place: Scene, deleted_by_the_product: Callable[[], None]
) -> None:
    """The product deleted the account by itself, so nobody but the request knows the address."""
    request_id = place.request()
    deleted_by_the_product()
    old = log(place, ADDRESS, LONG_AGO)
    key = register(place, ADDRESS)
    workflow, entry = watch(place, ADDRESS), log(place, ADDRESS)
    erase(place, request_id)
    assert place.requests.row(request_id)["status"] == "completed"
    assert ask(place, "SELECT id FROM creators WHERE email = %(email)s", email=ADDRESS) == [key]
    assert (logged(place, old), logged(place, entry)) == (None, ADDRESS)
    assert ask(
        place,
        "SELECT id FROM workflows WHERE watcher_emails = ARRAY[%(e)s] "
        "AND definition #>> '{fallback,notify}' = %(e)s",
        e=ADDRESS,
    ) == [workflow]


def test_a_requests_address_that_nobody_else_has_is_still_the_subjects(
    place: Scene, deleted_by_the_product: Callable[[], None]
) -> None:
    request_id = place.request()
    deleted_by_the_product()
    entry = log(place, ADDRESS)
    erase(place, request_id)
    assert place.requests.row(request_id)["status"] == "completed"
    assert logged(place, entry) is None


USERS = """
CREATE TABLE users (id int PRIMARY KEY, email text, made timestamptz);
CREATE TABLE letters (id int PRIMARY KEY, email text); CREATE INDEX ON letters (email);
INSERT INTO users VALUES (1, 'anna@example.org', '2020-01-01'), (2, 'ben@example.org', '2020-01-01');
INSERT INTO letters VALUES (1, 'anna@example.org'), (2, 'ben@example.org');
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {created: made, personal: [email], plain: [made], rows: [{role: a, column: id, erase: delete}]}
  letters: {plain: [id], rows: [{role: r, column: email, holds: email, erase: delete}]}
"""


def test_rows_without_a_date_may_be_eithers_and_are_left_alone(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner, bare_product.eraser() as eraser:
        owner.execute(USERS)
        data_map = map_of(tmp_path, MAP)
        what = erasing(eraser, data_map, "1")
        owner.execute("UPDATE users SET email = 'anna.smith@example.org' WHERE id = 1")
        owner.execute("UPDATE users SET email = 'anna@example.org' WHERE id = 2")
        row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        assert left(eraser, data_map, what) == ([], ["letters.email"])
        taken = replace(what, first_erasure=FirstErasure(CUTOFF, frozenset({"email"})))
        assert left(eraser, data_map, taken) == ([], ["letters.email"])


def test_rows_without_a_date_are_the_others_once_the_subjects_are_gone(
    bare_product: Product, tmp_path: Path
) -> None:
    with bare_product.owner() as owner, bare_product.eraser() as eraser:
        owner.execute(USERS)
        data_map = map_of(tmp_path, MAP)
        what = erasing(eraser, data_map, "1")
        row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        owner.execute("UPDATE users SET email = 'anna@example.org' WHERE id = 2")
        owner.execute("INSERT INTO letters VALUES (3, 'anna@example.org')")
        what = replace(what, first_erasure=FirstErasure(CUTOFF, frozenset()))
        row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        assert left(eraser, data_map, what) == ([], [])
        assert [row["id"] for row in owner.execute("SELECT id FROM letters ORDER BY id")] == [2, 3]


def test_a_name_that_both_have_is_the_subjects_until_their_row_is_gone(
    bare_product: Product, tmp_path: Path
) -> None:
    """A family's address, if the map decides so: then what is left of it is the other's account."""
    with bare_product.owner() as owner, bare_product.eraser() as eraser:
        owner.execute(USERS)
        owner.execute("UPDATE users SET email = 'anna@example.org'")
        undecided, known = map_of(tmp_path, MAP), catalogue.read(eraser)
        with pytest.raises(CheckFailed, match=r"letters \(r\): 1 rows: 1 another user's in the same role"):
            row_erasure.erase(eraser, undecided, known, erasing(eraser, undecided, "1"))
        decided = MAP.replace("holds: email, erase: delete", "holds: email, erase: delete, shared: delete")
        data_map = map_of(tmp_path, decided)
        what = erasing(eraser, data_map, "1")
        row_erasure.erase(eraser, data_map, catalogue.read(eraser), what)
        assert left(eraser, data_map, what) == ([], [])
        assert [row["id"] for row in owner.execute("SELECT id FROM users")] == [2]
        assert [row["id"] for row in owner.execute("SELECT id FROM letters")] == [2]
