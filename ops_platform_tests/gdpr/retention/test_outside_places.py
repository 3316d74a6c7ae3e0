"""Objects and cached keys of accounts whose term is over: they go with them, and never without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import cast

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.redis import Cache
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.erasure import inventory, objects
from ops_platform.gdpr.erasure.inventory import ObjectPlace
from ops_platform.gdpr.retention import daily_run, outside_places, pending_removals
from ops_platform.gdpr.retention.outcome import Report
from ops_platform.gdpr.retention.outside_places import OutsidePlaces
from ops_platform.gdpr.retention.pending_removals import PendingRemovals
from ops_platform.gdpr.schema import Name
from ops_platform.gdpr.subject import Identity
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.settings import load_settings
from ops_platform_tests.gdpr.erasing import Product, map_of
from ops_platform_tests.gdpr.other_stores import sealing_keys, store
from ops_platform_tests.services import OpsDatabase

MAP = """
subject: {kind: user, table: users, key: id, email: email, identifiers: [handle]}
tables:
  users:
    personal: [email, handle]
    plain: [seen]
    retention: {after: P3Y, of: seen, do: delete}
    rows: [{role: account, column: id, erase: delete}]
objects: [{bucket: media, prefix: "users/{id}/", purpose: Pictures., export: true}]
cache: [{pattern: "user:{id}:*", purpose: Pages.}, {pattern: "h:{handle}:*", purpose: Pages.}]
"""


@dataclass
class Keys:
    """A cache in memory."""

    keys: set[str] = field(default_factory=set)

    def ping(self) -> None:
        """It is there."""

    def matching(self, parts: tuple[str, ...]) -> Iterator[str]:
        return (key for key in sorted(self.keys) if fnmatch(key, "*".join(parts)))

    def delete(self, keys: Iterable[str]) -> int:
        gone = self.keys & set(keys)
        self.keys -= gone
        return len(gone)


def test_what_names_nothing_outside_needs_no_store(tmp_path: Path) -> None:
    data_map = map_of(tmp_path, MAP)
    users = Name("public", "users")
    term = data_map.tables[users].term
    assert term is not None
    with pytest.raises(ConfigurationError, match="media is not configured here"):
        OutsidePlaces().of(data_map, users, term)
    assert OutsidePlaces().of(data_map, Name("public", "visits"), term) is None


def test_a_bucket_that_is_not_configured_stops_its_table_only(tmp_path: Path) -> None:
    data_map = map_of(tmp_path, MAP)
    outside = outside_places.configured(load_settings({}), data_map)
    users = Name("public", "users")
    term = data_map.tables[users].term
    assert term is not None
    with pytest.raises(ConfigurationError, match=r"media is not configured here.*OPS_S3_<ROLE>_BUCKET"):
        outside.of(data_map, users, term)
    assert outside.of(data_map, Name("public", "visits"), term) is None


@pytest.mark.services
def test_what_an_account_has_outside_goes_with_it(
    bare_product: Product,
    ops_database: OpsDatabase,
    object_store: ObjectStoreServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admin = store(object_store, "admin")
    admin.client.create_bucket(Bucket="retention-media")
    bucket = store(object_store, "admin", bucket="retention-media")
    for key in ("users/1/face", "users/1/cat", "users/12/face", "users/3/face"):
        bucket.client.put_object(Bucket="retention-media", Key=bucket.prefix + key, Body=b"x")
    cache, data_map = Keys({"user:1:page", "user:12:page", "user:3:page"}), map_of(tmp_path, MAP)
    outside = OutsidePlaces({"media": bucket}, cast(Cache, cache), keys=sealing_keys())
    with bare_product.owner() as owner:
        owner.execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, seen timestamptz, handle text);"
            "INSERT INTO users VALUES (1, 'a@x.example', '2020-01-01', 'ann'), (3, 'c@x.example', now(), 'c')"
        )

    def left() -> tuple[list[str], set[str], int]:
        with bare_product.cluster.superuser(bare_product.name) as superuser:
            [(rows,)] = superuser.execute("SELECT count(*) FROM users").fetchall()
        return sorted(one.key for one in bucket.list()), set(cache.keys), int(str(rows))

    before = left()
    # Where objects could not be reached, nobody would know any more whose they are.
    report = ran(bare_product, ops_database, data_map, OutsidePlaces())
    assert "not configured here" in report.problems[0]
    assert left() == before
    with bare_product.eraser() as eraser:
        foreseen = [daily_run.dry_run(eraser, None, data_map, "", known) for known in (None, outside)]
    assert [report.problems[:1] == [] for report in foreseen] == [False, True]
    # Killed before the commit, all is as it was.
    killed_after(monkeypatch, PendingRemovals, "keep", bare_product, ops_database, data_map, outside)
    assert left() == before
    # Killed after it, at any place, the next run goes on, and counts what was there.
    killed_after(monkeypatch, PendingRemovals, "note", bare_product, ops_database, data_map, outside)
    assert left() == (*before[:2], 1)
    with bare_product.cluster.superuser(bare_product.name) as superuser:
        sealed = superuser.execute("SELECT identity FROM ops_platform.erasures WHERE identity IS NOT NULL")
        assert all(b"ann" not in bytes(cast(bytes, row[0])) for row in sealed.fetchall())
    killed_after(monkeypatch, objects, "erase", bare_product, ops_database, data_map, outside)
    assert left()[0] == ["users/12/face", "users/3/face"]
    report = ran(bare_product, ops_database, data_map, outside)
    assert list(report.problems) == []
    assert left() == (["users/12/face", "users/3/face"], {"user:12:page", "user:3:page"}, 1)
    with bare_product.cluster.superuser(bare_product.name) as superuser:
        assert superuser.execute("SELECT FROM ops_platform.erasures").fetchall() == []
    with postgres.session(ops_database.url()) as ops:
        lineage = ops.execute(
            "SELECT store, object, affected FROM gdpr_lineage WHERE request_id = %s AND store IS NOT NULL "
            "ORDER BY store, object",
            (report.run_id,),
        ).fetchall()
    assert [tuple(row.values()) for row in lineage] == [
        ("postgresql", "users", 1),
        ("redis", "h:{handle}:*", 0),
        ("redis", "user:{id}:*", 1),
        ("s3", "media/users/{id}/", 2),
    ]
    # A name that somebody has who stays keeps the row, and nobody else's.
    with bare_product.owner() as owner:
        owner.execute(
            "INSERT INTO users SELECT id, 'x@x.example', CASE WHEN id > 5 THEN date '2020-01-01' END, handle "
            "FROM (VALUES (5, 'eve'), (6, 'eve'), (7, 'fay'), (8, 'gus'), (9, 'gus')) AS u (id, handle)"
        )
    cache.keys |= {"h:eve:page", "h:fay:page", "h:gus:page"}
    with monkeypatch.context() as patched:
        patched.setattr("ops_platform.gdpr.erasure.objects.erase", refuse)
        problems = ran(bare_product, ops_database, data_map, outside).problems
        assert "keep appearing" in problems[0]
        assert "3 subjects whose rows are gone" in problems[1]
    assert left()[2] == 3
    problems = ran(bare_product, ops_database, data_map, outside).problems
    assert [problem.partition(":")[0] for problem in problems] == ["users"]
    assert "1 rows whose term is over stay" in problems[0]
    assert "another user has the same handle" in problems[0]
    assert left()[1:] == ({"user:12:page", "user:3:page", "h:eve:page"}, 3)


def test_what_was_named_by_a_free_name_is_theirs_until_then_only(tmp_path: Path) -> None:
    data_map, until = map_of(tmp_path, MAP), datetime(2026, 6, 1, tzinfo=UTC)
    taken = inventory.take(data_map, Identity({"id": 1, "handle": "ann"}))
    by_name = replace(taken, objects=(ObjectPlace("media", "h/ann/", "h/{handle}/"), *taken.objects))
    marked = pending_removals.marked(replace(by_name, until=until), data_map)
    assert [place.until for place in marked.objects] == [until - timedelta(seconds=1), None]
    assert [place.shared for place in marked.cache] == [False, True]


class Killed(BaseException):
    """Nothing catches it, as SIGKILL."""


def killed_after(
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    product: Product,
    ops_database: OpsDatabase,
    data_map: DataMap,
    outside: OutsidePlaces,
) -> None:
    done = getattr(owner, name)

    def dying(*given: object) -> None:
        done(*given)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dying)
        with pytest.raises(Killed):
            ran(product, ops_database, data_map, outside)


def refuse(*_: object) -> list[object]:
    raise CheckFailed("objects keep appearing")


def ran(product: Product, ops_database: OpsDatabase, data_map: DataMap, outside: OutsidePlaces) -> Report:
    with product.eraser() as eraser, postgres.session(ops_database.url(), autocommit=True) as ops:
        return daily_run.run(eraser, ops, data_map, "product", actor="test", outside=outside)
