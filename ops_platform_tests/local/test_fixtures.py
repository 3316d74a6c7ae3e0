"""The fixtures themselves: what every other service test stands on."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import psycopg
import pytest
from botocore.exceptions import ClientError

from ops_platform.local.servers.object_store_server import DRILL, ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


def test_each_s3_identity_reaches_only_its_own_bucket(object_store: ObjectStoreServer) -> None:
    roles = ("backup", "media", "exports", "ledger", "logs")
    for role in roles:
        object_store.client(role).put_object(Bucket=object_store.bucket(role), Key="probe/own", Body=b"x")
    for role, other in itertools.permutations(roles, 2):
        client, bucket = object_store.client(role), object_store.bucket(other)
        with pytest.raises(ClientError, match="AccessDenied"):
            client.put_object(Bucket=bucket, Key="probe/foreign", Body=b"x")
        with pytest.raises(ClientError, match="AccessDenied"):
            client.get_object(Bucket=bucket, Key="probe/own")
        with pytest.raises(ClientError, match="AccessDenied"):
            client.list_objects_v2(Bucket=bucket)


def test_backup_reader_cannot_write_or_delete(object_store: ObjectStoreServer) -> None:
    bucket = object_store.bucket("backup")
    object_store.client("backup").put_object(Bucket=bucket, Key="probe/read", Body=b"x")
    reader = object_store.client("backup_reader")
    assert reader.get_object(Bucket=bucket, Key="probe/read")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket=bucket, Key="probe/read", Body=b"y")
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.delete_object(Bucket=bucket, Key="probe/read")


def test_objects_are_encrypted_without_asking(object_store: ObjectStoreServer) -> None:
    for role, bucket in object_store.buckets.items():
        client = object_store.client("backup" if role == DRILL else role)
        client.put_object(Bucket=bucket, Key="probe/sse", Body=b"x")
        assert client.head_object(Bucket=bucket, Key="probe/sse")["ServerSideEncryption"] == "AES256"


def test_cluster_takes_only_verified_tls_and_survives_a_kill(
    cluster_factory: Callable[..., PostgresCluster],
) -> None:
    cluster = cluster_factory("fixture", archive=False)
    url = cluster.url("product_app")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (
            True,
        )
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(url.replace("sslmode=verify-full", "sslmode=disable"))
    with cluster.superuser("product") as superuser:
        superuser.execute("CREATE TABLE kept AS SELECT 1 AS one")
    cluster.kill()
    assert cluster.postmaster() is None
    cluster.start()
    with cluster.superuser("product") as superuser:
        assert superuser.execute("SELECT one FROM kept").fetchone() == (1,)
    cluster.stop()
    assert cluster.postmaster() is None


def test_ops_databases_are_apart(ops_database: OpsDatabase) -> None:
    with psycopg.connect(ops_database.url("ops_worker")) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (ops_database.name,)
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(ops_database.url("ops_dagster"))
