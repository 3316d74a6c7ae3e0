"""Subjects whose key has several columns, with several numbers: held, erased, certified, replayed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.after_restore import replay
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.data_map import parser
from ops_platform.gdpr.tombstones import tombstone_store
from ops_platform.gdpr.tombstones.legal_holds import Held
from ops_platform.settings import Settings
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.gdpr.erasing import Product, Products, map_of
from ops_platform_tests.gdpr.erasure_scene import settings_of
from ops_platform_tests.services import OpsDatabase, Services

pytestmark = pytest.mark.services

TABLES = """
CREATE TABLE members (tenant int, id int, email text, created timestamptz, PRIMARY KEY (tenant, id));
CREATE TABLE phones (tenant int, member int, number text, created timestamptz, PRIMARY KEY (tenant, number),
                     FOREIGN KEY (tenant, member) REFERENCES members);
CREATE INDEX ON phones (tenant, member);
CREATE TABLE calls (id int PRIMARY KEY, caller text, created timestamptz);
CREATE INDEX ON calls (caller);
"""
ROWS = """
INSERT INTO members VALUES (1, 1, 'anna@example.org', '2020-01-01') ON CONFLICT DO NOTHING;
INSERT INTO members VALUES (1, 2, 'ben@example.org', '2020-01-01'), (2, 1, 'cleo@example.org', '2020-01-01')
    ON CONFLICT DO NOTHING;
INSERT INTO phones VALUES (1, 1, '+33 1 11 11', '2020-01-01'), (1, 1, '+33 2 22 22', '2020-01-01'),
    (1, 2, '+33 3 33 33', '2020-01-01'), (2, 1, '+33 4 44 44', '2020-01-01') ON CONFLICT DO NOTHING;
INSERT INTO calls SELECT row_number() OVER (ORDER BY number), number, '2020-01-01' FROM phones
    ON CONFLICT DO NOTHING;
"""
MAP = """
subject:
  kind: member
  table: members
  key: [tenant, id]
  email: email
  known_by: [{table: phones, column: number}]
tables:
  members:
    personal: [email]
    plain: [created]
    created: created
    rows: [{role: account, column: [tenant, id], erase: delete}]
  phones:
    personal: [number]
    plain: [created]
    created: created
    rows: [{role: owner, column: [tenant, member], erase: delete}]
  calls:
    plain: [id, created]
    created: created
    rows: [{role: caller, column: caller, holds: phones.number, erase: delete}]
"""
OTHERS = [(1, 2, "+33 3 33 33"), (2, 1, "+33 4 44 44")]


@dataclass(frozen=True)
class Place:
    settings: Settings
    product: Product
    ops: OpsDatabase

    def run(self, keys: str, *command: str) -> Result:
        environment = {name: value.get_secret_value() for name, value in self.settings.environ.items()}
        for name in os.environ:
            if name.startswith("OPS_"):
                environment.setdefault(name, "")
        return CliRunner().invoke(cli, ["gdpr", *command], input=keys, env=environment)

    def rows(self) -> list[tuple[object, ...]]:
        query = """
            SELECT m.tenant, m.id, p.number FROM members AS m
            FULL JOIN phones AS p ON (m.tenant, m.id) = (p.tenant, p.member)
            FULL JOIN calls AS c ON c.caller = p.number ORDER BY 1, 2, 3"""
        with self.product.owner() as owner:
            return [tuple(row.values()) for row in owner.execute(query)]


@pytest.fixture
def place(
    services: Services,
    products: Products,
    ops_database: OpsDatabase,
    product_redis: RunningRedis,
    tmp_path: Path,
) -> Iterator[Place]:
    product = products.create()
    try:
        settings = settings_of(services, product, ops_database, product_redis)
        map_of(tmp_path, MAP)
        (settings.config_dir / "data_map.yaml").write_text((tmp_path / "data_map.yaml").read_text())
        with product.owner() as owner:
            owner.execute(TABLES)
            owner.execute(ROWS)
        yield Place(settings, product, ops_database)
    finally:
        products.drop(product)


def test_everything_that_goes_by_the_key_knows_it(place: Place) -> None:
    subject, erase = '["1", 1]\n', ("erase", "--subject-file", "-", "--json")
    for wrong in ("1\n", '["1"]\n', '{"tenant": 1}\n'):
        refused = place.run(wrong, *erase)
        assert isinstance(refused.exception, ConfigurationError)
        assert "tenant and id" in str(refused.exception)
    placed = place.run(subject, "hold", "place", "--subject-file", "-", "--basis", "claim", "--by", "me")
    assert placed.exit_code == 0, placed.exception
    assert isinstance(place.run(subject, *erase).exception, Held)
    # Another tenant's member of the same number is not held.
    assert place.run("[2, 1]", *erase).exit_code == 0
    assert place.rows()[-1] == OTHERS[0]
    with place.product.owner() as owner:
        owner.execute(ROWS)
    assert place.run("", "hold", "release", "1").exit_code == 0
    done = place.run(subject, *erase)
    assert done.exit_code == 0, done.exception
    [said] = json.loads(done.stdout)
    assert "anna" not in done.stdout + done.stderr
    assert place.rows() == OTHERS
    with postgres.session(place.ops.url("ops_worker")) as ops:
        tombstones = tombstone_store.read(ops, place.product.cluster.name)
        [tombstone] = [one for one in tombstones if one.request_id == said["request_id"]]
        row = ops.execute(
            "SELECT document FROM gdpr_certificates WHERE request_id = %s", (said["request_id"],)
        ).fetchone()
    key = tombstone.subject_key
    assert (key.key, key.key_type) == ('["1","1"]', '["integer","integer"]')
    assert row is not None
    assert json.loads(row["document"])["commitment"] == certificate.commitment(key, tombstone.salt)
    # Yesterday's rows come back; whoever was erased goes again, with what only the side table names.
    with place.product.owner() as owner:
        owner.execute(ROWS)
    data_map = parser.load(place.settings.config_dir / "data_map.yaml")
    with place.product.eraser() as connection:
        replayed = replay.replay(connection, data_map, [tombstone])
    assert replayed.came_back == 1
    assert place.rows() == OTHERS
