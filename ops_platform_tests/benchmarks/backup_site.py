"""A product cluster of at least 2 GB, an ops cluster, S3 and a Dagster instance, for the backup benchmark.

With fsync on and PostgreSQL's usual settings: unlike the tests, this is about speed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ops_platform import files
from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.host import programs
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.local.servers.postgres_roles import ensure_database
from ops_platform.settings import Settings
from ops_platform_tests.services import OpsDatabases, Services

_SETTINGS = {
    "fsync": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "archive_timeout": "300",
    "max_wal_senders": "4",
}
_NOISE_BLOCK = 8_000
_NOISE_COMMIT = 20_000  # blocks a transaction


@dataclass(frozen=True)
class BackupSite:
    services: Services
    product: PostgresCluster
    ops: PostgresCluster
    settings: Settings
    context: BackupContext
    environment: dict[str, str]
    """What a Dagster process of this site runs with."""

    @property
    def scratch(self) -> Path:
        return self.services.root / "scratch"

    def size(self) -> int:
        """Bytes of the product's databases."""
        with self.product.superuser() as connection:
            row = connection.execute("SELECT sum(pg_database_size(oid))::bigint FROM pg_database").fetchone()
        assert row is not None
        return int(str(row[0]))

    def checkpoint(self) -> None:
        with self.product.superuser() as connection:
            connection.execute("CHECKPOINT")

    def pgbackrest(self, *arguments: str) -> None:
        """Run a pgBackRest command bare: no more than its own configuration and these options."""
        command = [
            self.context.pgbackrest.binary,
            f"--config={self.context.pgbackrest.config_file}",
            f"--stanza={self.context.stanza.name}",
            *arguments,
        ]
        environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LANG": "C.UTF-8"}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd="/",
            **self.product.account.subprocess_arguments(),
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def forget_old_sets(self) -> None:
        """Keep the newest full only and let the store reclaim its space: it would grow by 2 GB a set."""
        self.pgbackrest("--repo1-retention-full-type=count", "--repo1-retention-full=1", "expire")
        ports = self.services.object_store().ports
        subprocess.run(
            [
                programs.find("weed"),
                "shell",
                f"-master=127.0.0.1:{ports['s3-master']}.{ports['s3-master-grpc']}",
            ],
            input="lock; volume.vacuum -garbageThreshold=0.3; unlock\n",
            text=True,
            capture_output=True,
            check=True,
            cwd=self.scratch,
        )
        # What the vacuum copied must not be written back while the next way is measured.
        os.sync()

    def dagster(self, *arguments: str) -> None:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("dagster")), *arguments],
            env=self.environment,
            cwd=self.scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"dagster {' '.join(arguments)}: {done.stderr[-4000:]}")

    def newest_run_seconds(self) -> float:
        """Start to end of the newest Dagster run, as its storage recorded it."""
        with self.ops.superuser("dagster") as connection:
            row = connection.execute(
                "SELECT status, end_time - start_time FROM runs ORDER BY id DESC LIMIT 1"
            ).fetchone()
        assert row is not None
        if row[0] != "SUCCESS":
            raise SystemExit(f"the newest Dagster run ended {row[0]}")
        return float(str(row[1]))

    def newest_run_steps(self) -> dict[str, float]:
        """Seconds of each step of the newest Dagster run, in their order."""
        with self.ops.superuser("dagster") as connection:
            rows = connection.execute(
                "SELECT step_key, extract(epoch FROM max(timestamp) - min(timestamp))::float FROM event_logs "
                "WHERE run_id = (SELECT run_id FROM runs ORDER BY id DESC LIMIT 1) "
                "AND dagster_event_type IN ('STEP_START', 'STEP_SUCCESS') GROUP BY 1 ORDER BY min(timestamp)"
            ).fetchall()
        return {str(name): round(float(str(seconds)), 2) for name, seconds in rows}


@contextmanager
def backup_site(scale: float, noise_bytes: int, say: Callable[[str], None]) -> Iterator[BackupSite]:
    """Everything started and filled; stopped and removed at the end, whatever happened."""
    services = Services.start()
    try:
        yield _build(services, scale, noise_bytes, say)
    finally:
        services.close()


def _build(services: Services, scale: float, noise_bytes: int, say: Callable[[str], None]) -> BackupSite:
    say("starting two clusters and S3")
    product = services.cluster("product", settings=_SETTINGS)
    ops = services.cluster("ops", archive=False, roles="ops", settings=_SETTINGS)
    database = OpsDatabases(ops).create()
    with ops.superuser() as superuser:
        ensure_database(superuser, "dagster", "ops_dagster", ("ops_worker",))
    # Filled without archiving: what is measured starts from an archive that has caught up.
    with product.superuser() as superuser:
        superuser.execute("ALTER SYSTEM SET archive_command = '/bin/true'")
        superuser.execute("SELECT pg_reload_conf()")
    url = product.url("product_owner")
    migrate(url, files.carried("sql") / "demo")
    seed(
        url,
        scale=scale,
        progress=lambda name, done: say(f"seeding the demo product at scale {scale:g}: {done:.0%}"),
    )
    _noise(product, noise_bytes, say)
    with product.superuser() as superuser:
        superuser.execute("ALTER SYSTEM RESET archive_command")
        superuser.execute("SELECT pg_reload_conf()")
    _allow_replication(product)

    settings = services.settings_for(product, database=database)
    context = open_context(settings, product.name)
    scratch = product.account.directory(services.root / "scratch", 0o755)
    environment = _dagster_environment(services, ops, settings)
    site = BackupSite(services, product, ops, settings, context, environment)
    assert site.scratch == scratch
    say("making the stanza and Dagster's storage")
    context.pgbackrest.stanza_create()
    context.pgbackrest.check(300)
    site.dagster("instance", "migrate")
    site.checkpoint()
    return site


def _noise(product: PostgresCluster, wanted: int, say: Callable[[str], None]) -> None:
    """Rows that no codec makes smaller, stored as they are."""
    blocks = -(-wanted // _NOISE_BLOCK)
    with psycopg.connect(product.url("product_owner")) as connection:
        connection.execute("CREATE TABLE noise (id bigint PRIMARY KEY, block bytea NOT NULL)")
        connection.execute("ALTER TABLE noise ALTER COLUMN block SET STORAGE EXTERNAL")
        for first in range(0, blocks, _NOISE_COMMIT):
            say(f"writing incompressible rows: {first / max(1, blocks):.0%}")
            with connection.cursor().copy("COPY noise FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int8", "bytea"])
                for number in range(first, min(blocks, first + _NOISE_COMMIT)):
                    copy.write_row((number, os.urandom(_NOISE_BLOCK)))
            connection.commit()
    with psycopg.connect(product.url("product_owner"), autocommit=True) as connection:
        connection.execute("VACUUM (FREEZE, ANALYZE) noise")


def _allow_replication(product: PostgresCluster) -> None:
    # pg_hba.conf's "all" does not cover pg_basebackup.
    with (product.data_dir / "pg_hba.conf").open("a", encoding="utf-8") as file:
        file.write("local replication all peer map=ops_platform\n")
    product.reload()


def _dagster_environment(services: Services, ops: PostgresCluster, settings: Settings) -> dict[str, str]:
    store = services.object_store()
    home = services.root / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        files.carried("dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    storage = ops.url("ops_dagster", "dagster").replace("postgresql://", "postgresql+psycopg2://", 1)
    return {
        **{name: value.get_secret_value() for name, value in settings.environ.items()},
        "HOME": str(services.root),
        "DAGSTER_HOME": str(home),
        "OPS_DAGSTER_STORAGE_URL": storage,
        "OPS_COMPUTE_LOG_DIR": str(home / "logs"),
        "OPS_S3_LOGS_BUCKET": store.bucket("logs"),
        "AWS_ACCESS_KEY_ID": store.access_key_id("logs"),
        "AWS_SECRET_ACCESS_KEY": store.secret_access_key("logs"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
