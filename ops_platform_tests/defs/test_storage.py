"""Dagster's storage as dagster.yaml names it: runs share connections, and get others when those break."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from ops_platform import files
from ops_platform.defs.storage import KEPT_CONNECTIONS
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

URL = "OPS_DAGSTER_STORAGE_URL"


@dg.asset
def measured(context: dg.AssetExecutionContext) -> None:
    context.log.info("a line of its own")


@pytest.fixture
def instance(
    ops_database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv(URL, ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://"))
    document = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": document["storage"]}), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def backends(database: OpsDatabase) -> list[int]:
    """The server processes of Dagster's connections."""
    with database.superuser() as superuser:
        found = superuser.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = 'ops_owner' ORDER BY pid",
            (database.name,),
        ).fetchall()
    return [int(str(pid)) for (pid,) in found]


def test_the_next_run_has_the_connections_of_the_first_and_broken_ones_are_replaced(
    instance: dg.DagsterInstance, ops_database: OpsDatabase
) -> None:
    first = dg.materialize([measured], instance=instance)
    before = backends(ops_database)
    second = dg.materialize([measured], instance=instance)
    assert 1 <= len(before) <= KEPT_CONNECTIONS
    assert backends(ops_database) == before

    with ops_database.superuser() as superuser:
        for pid in before:
            superuser.execute("SELECT pg_terminate_backend(%s)", (pid,))
    third = dg.materialize([measured], instance=instance)

    assert first.success
    assert second.success
    assert third.success
    runs = instance.get_runs()
    assert {run.run_id for run in runs} == {first.run_id, second.run_id, third.run_id}
    for run in runs:
        assert "a line of its own" in [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert not set(backends(ops_database)) & set(before)
