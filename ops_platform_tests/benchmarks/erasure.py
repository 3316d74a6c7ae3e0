"""Erasing a subject of 10 000 rows among ten million, beside the statements one would write by hand.

Targets: at most twice the hand-written statements in one transaction; at most 1.2 times as long when there
are ten times as many rows of others. Then somebody of a million rows among them: at most two minutes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform_tests.benchmarks.measure import Report, Target, Timing, timed
from ops_platform_tests.gdpr.erasing import Product, Products, map_of
from ops_platform_tests.services import Services

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL);
CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     user_id int NOT NULL REFERENCES users,
                     at timestamptz NOT NULL DEFAULT now(), text text NOT NULL);
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int REFERENCES users,
                    at timestamptz NOT NULL DEFAULT now(), text text NOT NULL);
CREATE INDEX ON events (user_id);
CREATE INDEX ON notes (user_id);
INSERT INTO users SELECT n, 'user.' || n || '@example.org' FROM generate_series(1, 100000) AS n;
"""
MAP = """
subject: {kind: user, table: users, key: id, email: email}
tables:
  users: {personal: [email], rows: [{role: account, column: id, erase: delete}]}
  events: {personal: [text], plain: [id, at], rows: [{role: user, column: user_id, erase: delete}]}
  notes:
    personal: [text]
    plain: [id, at]
    rows: [{role: writer, column: user_id, erase: {anonymise: {user_id: null, text: {value: "-"}}}}]
"""
SUBJECTS = 20
"""Users who have each the same number of rows, one fifth of what there is at first."""
OTHERS = f"{SUBJECTS} + n % {100_000 - SUBJECTS} + 1"
SOMEBODYS = f"CASE WHEN n % 5 = 0 THEN n / 5 % {SUBJECTS} + 1 ELSE {OTHERS} END"
REPETITIONS = 4
HEAVY = (100_001, 100_002)
"""Users with a million rows each: one is erased, one is deleted by hand."""
HEAVY_SECONDS = 120.0
BUFFERS = "32MB"
"""Less than either database, and than the pages of one subject: rows of both come from the system's cache."""
HAND = "by hand, in one transaction"


def run(say: Callable[[str], None], *, quick: bool = False) -> list[Report]:
    few = 100_000 if quick else 1_000_000
    many, mine = few * 10, few // 5 // SUBJECTS
    services = Services.start()
    try:
        cluster = services.cluster("product", archive=False, settings={"shared_buffers": BUFFERS})
        product = Products(cluster).create()
        with product.owner() as owner, product.eraser() as eraser, tempfile.TemporaryDirectory() as name:
            data_map = map_of(Path(name), MAP)
            say(f"making {few} rows, {mine} of them each of {SUBJECTS} users'")
            owner.execute(SCHEMA)
            for table, share in (("events", 0.8), ("notes", 0.2)):
                fill(owner, table, int(few * share), SOMEBODYS)
            settle(product)
            subjects = iter(range(1, SUBJECTS + 1))
            ours_few, hand_few = measured(owner, eraser, data_map, subjects)
            say(f"making {many - few} rows of others")
            for table, share in (("events", 0.8), ("notes", 0.2)):
                fill(owner, table, int((many - few) * share), OTHERS)
            settle(product)
            ours, hand = measured(owner, eraser, data_map, subjects)
            heavy = few
            say(f"making {heavy} rows each of {len(HEAVY)} more users")
            for user in HEAVY:
                owner.execute("INSERT INTO users VALUES (%s, %s)", (user, f"user.{user}@example.org"))
                for table, share in (("events", 0.8), ("notes", 0.2)):
                    fill(owner, table, int(heavy * share), str(user))
            settle(product)
            ours_heavy, hand_heavy = once(owner, eraser, data_map, *HEAVY)
    finally:
        services.close()
    report = Report(f"Erasing {mine} rows", base=f"{HAND}, of {many}")
    report.timings = [
        Timing(f"{HAND}, of {few}", hand_few),
        Timing(f"erased, of {few}", ours_few),
        Timing(f"{HAND}, of {many}", hand),
        Timing(f"erased, of {many}", ours),
    ]
    report.notes = [
        f"by hand it takes {report.timings[2].median / report.timings[0].median:.2f} times as long "
        "with ten times the rows of others"
    ]
    report.targets = [
        Target("erased over by hand", report.ratio(report.timings[3]), 2.0),
        Target("ten times the rows of others", report.timings[3].median / report.timings[1].median, 1.2),
    ]
    of_heavy = Report(f"Erasing {heavy} rows of one person", base=HAND)
    of_heavy.timings = [Timing(HAND, (hand_heavy,)), Timing("erased", (ours_heavy,))]
    of_heavy.targets = [
        Target("seconds", ours_heavy, HEAVY_SECONDS * heavy / 1_000_000, unit="s"),
        Target("erased over by hand", ours_heavy / hand_heavy, 2.0),
    ]
    return [report, of_heavy]


def fill(owner: Connection, table: str, rows: int, user: str) -> None:
    """``user``: SQL that says of the row with number n whose it is. No user's rows lie together."""
    owner.execute(
        f"INSERT INTO {table} (user_id, text) SELECT {user}, md5(n::text) "
        f"FROM generate_series(1, {rows}) AS n"
    )


def settle(product: Product) -> None:
    """What filling leaves to be done later is done before anything is measured."""
    with product.owner() as owner:
        owner.execute("VACUUM ANALYZE")
    with product.cluster.superuser(product.name) as superuser:
        superuser.execute("CHECKPOINT")


def tidy(owner: Connection) -> None:
    """Whoever visits a page first after rows went from it clears it: neither does so for the other."""
    owner.execute("VACUUM events, notes, users")


def measured(
    owner: Connection, eraser: Connection, data_map: DataMap, subjects: Iterator[int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of each erasure, and of the statements by hand, in turn. The first of each is not counted."""
    timings = [once(owner, eraser, data_map, next(subjects), next(subjects)) for _ in range(REPETITIONS + 1)]
    ours, hand = zip(*timings[1:], strict=True)
    return ours, hand


def once(
    owner: Connection, eraser: Connection, data_map: DataMap, key: int, by_hand_key: int
) -> tuple[float, float]:
    """Seconds of the erasure of one user, and of the statements by hand for another."""
    known = catalogue.read(eraser)
    who = subject_rows.identity(eraser, data_map, known, str(key))
    if who is None:
        raise CheckFailed(f"there is no user {key}")
    what = RowErasure(str(key), who, datetime.now(UTC))
    tidy(owner)
    ours = timed(partial(row_erasure.erase, eraser, data_map, known, what))
    if row_erasure.remaining(eraser, data_map, known, what):
        raise CheckFailed("the erasure left rows")
    tidy(owner)
    return ours, timed(partial(by_hand, owner, by_hand_key))


def by_hand(owner: Connection, key: int) -> None:
    with owner.transaction():
        owner.execute("DELETE FROM events WHERE user_id = %s", (key,))
        owner.execute("UPDATE notes SET user_id = NULL, text = '-' WHERE user_id = %s", (key,))
        owner.execute("DELETE FROM users WHERE id = %s", (key,))
