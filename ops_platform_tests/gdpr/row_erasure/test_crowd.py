"""A heavy subject among a hundred thousand: exported whole, erased whole, and nobody else touched."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator

import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.export import content as export_content
from ops_platform.gdpr.export.content import ExportRequest
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.gdpr.erasing import Products
from ops_platform_tests.gdpr.erasure_scene import Scene, scene, work_on
from ops_platform_tests.gdpr.export.test_content import Archive
from ops_platform_tests.gdpr.requests_database import T0
from ops_platform_tests.gdpr.subject.test_row_predicates import BY_HAND
from ops_platform_tests.services import OpsDatabase, Services

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

READERS = """
WITH joined AS (
    INSERT INTO creators (handle, email, full_name, country)
    SELECT 'reader.' || n, 'reader.' || n || '@example.org', 'Reader ' || n, 'FR'
    FROM generate_series(1, 90000) AS n RETURNING id, handle),
profiles AS (INSERT INTO profiles (creator_id, display_name) SELECT id, handle FROM joined)
INSERT INTO sessions (creator_id, token_hash, ip, user_agent, expires_at)
SELECT id, sha256(handle::bytea), '192.0.2.1', 'Firefox/140.0', now() + interval '90 days' FROM joined
"""
"""Beside the demo's ten thousand."""
CANARIES = (
    "UPDATE profiles SET bio = 'canary-' || md5(creator_id::text) WHERE creator_id <> %(who)s",
    "UPDATE sessions SET user_agent = 'canary-' || md5(creator_id::text) WHERE creator_id <> %(who)s",
    """UPDATE "Billing Details" SET "Legal Name" = 'canary-' || md5("creatorId"::text)
       WHERE "creatorId" <> %(who)s""",
    "UPDATE posts SET body = 'canary-' || md5(creator_id::text) WHERE creator_id <> %(who)s",
    "UPDATE comments SET body = 'canary-' || md5(author_id::text) WHERE author_id <> %(who)s",
    "UPDATE webhooks SET url = 'https://canary-' || md5(creator_id::text) WHERE creator_id <> %(who)s",
)
"""What is other people's alone, and in no way the subject's."""


@pytest.fixture
def crowd(
    cluster_factory: Callable[..., PostgresCluster],
    services: Services,
    ops_database: OpsDatabase,
    product_redis: RunningRedis,
    demo_map: DataMap,
) -> Iterator[Scene]:
    cluster = cluster_factory("crowd", archive=False)
    owner = cluster.url("product_owner", "product")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=1)
    with postgres.session(owner) as product:
        assert product.execute(READERS).rowcount == 90_000
    with scene(services, Products(cluster), ops_database, product_redis, demo_map) as made:
        with made.product.owner() as product:
            for statement in CANARIES:
                assert product.execute(statement, {"who": made.who}).rowcount > 0
        yield made


def test_a_heavy_subject_among_a_hundred_thousand(crowd: Scene) -> None:
    with crowd.product.eraser() as product:
        [row] = product.execute("SELECT count(*) AS n FROM creators").fetchall()
    assert row["n"] >= 100_000
    archive = exported(crowd)
    shown = {(part["place"], part["role"]): part.get("rows") for part in archive.manifest["parts"]}
    with crowd.product.eraser() as product:
        for place, query in BY_HAND.items():
            [row] = product.execute(query, dict(crowd.identity.values)).fetchall()
            assert place not in shown or (shown[place], len(archive.rows(*place))) == (
                row["count"],
                row["count"],
            ), place
    assert shown["usage_logs", "user"] > 5_000
    assert "canary-" not in archive.text
    assert json.dumps(str(crowd.who)) in archive.text

    before, request_id = crowd.others(), crowd.request()
    opened = crowd.context()
    work_on(crowd.ops_url, request_id, lambda: opened)
    assert crowd.requests.row(request_id)["status"] == "completed"
    assert crowd.rows_of() == 0
    assert crowd.residue() == []
    assert (crowd.objects(crowd.who), crowd.keys(crowd.who)) == (0, 0)
    assert (crowd.objects(crowd.neighbour), crowd.keys(crowd.neighbour)) == (3, 2)
    assert crowd.others() == before


def exported(place: Scene) -> Archive:
    sink = io.BytesIO()
    with postgres.session(place.settings.require("product_eraser_database_url")) as product:
        wanted = ExportRequest(str(place.who), "en", T0)
        effects = export_content.write(product, place.data_map, wanted, sink, lambda bucket: place.media)
    return Archive(sink.getvalue(), effects)
