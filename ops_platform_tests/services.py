"""Real services for tests: a directory, certificates, S3, clusters and ops databases of their own.

Used through the fixtures of conftest.py; each pytest-xdist worker has its own set.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import yaml
from psycopg import sql

from ops_platform import files
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.local.components import DR_PUBLIC_KEY, DR_SIGNING_KEY, signing_keys
from ops_platform.local.host import programs
from ops_platform.local.host.accounts import Account, account
from ops_platform.local.host.certificates import Certificates
from ops_platform.local.host.secrets import SecretStore
from ops_platform.local.servers.object_store_server import DRILL, PORTS, ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.local.servers.postgres_roles import ensure_database, run_roles
from ops_platform.settings import BACKUP_ROLES, Settings, load_settings
from ops_platform_tests.backup.shapes import with_second_repository
from ops_platform_tests.ports import free_ports

OPS_ROLES = ("ops_owner", "ops_worker", "ops_agent", "ops_api", "ops_dagster", "ops_analyst", "ops_guard")
PRODUCT_ROLES = (
    "ops_owner",
    "ops_worker",
    "ops_agent",
    "ops_api",
    "ops_eraser",
    "product_owner",
    "product_app",
)
CLIENT_ROLES = ("ops_worker", "ops_agent", "ops_api")

# Small and fast; fsync matters only when the machine itself crashes, which no test does.
# Shared memory as files: of servers that are killed nothing stays behind in /dev/shm.
QUICK = {
    "fsync": "off",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "32MB",
    "max_connections": "50",
    "max_wal_size": "256MB",
}

# Each heartbeat archives a whole segment, however little is in it; the embedded stack's have the usual 16.
SEGMENT_MEGABYTES = 2


def run_as() -> Account:
    """Who owns PostgreSQL's files in a test: 'postgres' when the tests run as root."""
    return account("postgres" if os.geteuid() == 0 else None)


MEMORY = "/dev/shm"
MEMORY_BYTES = 8 << 30


def short_directory() -> Path:
    """A directory that PostgreSQL's user can reach and whose socket paths stay under 107 bytes.

    In memory where 8 GB of it are free: every database is some hundred files, made and removed again.
    """
    root = Path(tempfile.mkdtemp(prefix="ops", dir=MEMORY if _fits_in_memory() else "/tmp"))
    root.chmod(0o755)
    return root


def _fits_in_memory() -> bool:
    # A restored server's restore_command is a script in its directory.
    if not Path(MEMORY).is_dir() or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return False
    # The limit of the file system may be more than what the machine has left.
    return min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) >= MEMORY_BYTES


@dataclass
class Services:
    """What one pytest worker has started."""

    root: Path
    certificates: Certificates
    _clusters: list[PostgresCluster] = field(default_factory=list)
    _store: tuple[ObjectStoreServer, subprocess.Popen[bytes]] | None = None
    _second_store: tuple[ObjectStoreServer, subprocess.Popen[bytes]] | None = None
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _initialised: dict[str, Path] = field(default_factory=dict)
    """By initdb: a data directory that it made, and that no server has run in."""

    @classmethod
    def start(cls) -> Services:
        root = short_directory()
        certificates = Certificates(root / "tls")
        certificates.prepare()
        return cls(root, certificates)

    def close(self) -> None:
        for cluster in self._clusters:
            cluster.kill()
        if self._store is not None:
            self.kill_object_store()
        if self._second_store is not None:
            self.kill_second_object_store()
        shutil.rmtree(self.root, ignore_errors=True)

    # --- S3 -----------------------------------------------------------------------------------------

    def object_store(self) -> ObjectStoreServer:
        if self._store is None:
            self._store = self._start_object_store("s3")
        return self._store[0]

    def second_object_store(self) -> ObjectStoreServer:
        """Another endpoint with other identities, for a second repository."""
        if self._second_store is None:
            self._second_store = self._start_object_store("s3-2")
        return self._second_store[0]

    def _start_object_store(self, name: str) -> tuple[ObjectStoreServer, subprocess.Popen[bytes]]:
        server = ObjectStoreServer(
            self.root / name,
            dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
            self.certificates.server("s3", account(None)),
            self.certificates.ca_file,
            SecretStore(self.root / f"{name}-secrets"),
            self.root / "log" / f"{name}.log",
        )
        server.prepare()
        process = server.start()
        server.create_buckets()
        return server, process

    def kill_object_store(self) -> None:
        """Kill -9: a polite stop takes up to 27 s."""
        assert self._store is not None
        self._store[1].kill()
        self._store[1].wait()

    def kill_second_object_store(self) -> None:
        assert self._second_store is not None
        self._second_store[1].kill()
        self._second_store[1].wait()

    def restart_second_object_store(self) -> None:
        assert self._second_store is not None
        server = self._second_store[0]
        self._second_store = (server, server.start())

    def restart_object_store(self) -> None:
        assert self._store is not None
        server = self._store[0]
        self._store = (server, server.start())

    # --- PostgreSQL ---------------------------------------------------------------------------------

    def cluster(
        self,
        name: str,
        *,
        archive: bool = True,
        roles: str = "product",
        databases: bool = True,
        settings: Mapping[str, str] | None = None,
        version: programs.PostgresPrograms | None = None,
    ) -> PostgresCluster:
        """A started cluster with a state directory of its own, roles and database made.

        ``version``: of which PostgreSQL; by default the newest that pgBackRest can back up.
        """
        taken = {cluster.name for cluster in self._clusters}
        while name in taken:
            name = f"{name.rstrip('0123456789')}{next(self._numbers)}"
        state = self.root / name
        state.mkdir(mode=0o755)
        owner = run_as()
        cluster = PostgresCluster(
            name=name,
            data_dir=state / "postgres" / name,
            socket_dir=state / "run",
            port=free_ports(1)[0],
            programs=version or programs.find_postgres(programs.pgbackrest_version()),
            account=owner,
            certificate=self.certificates.server("postgres", owner),
            ca_file=self.certificates.ca_file,
            secrets=SecretStore(state / "secrets"),
            log_file=state / "log" / f"{name}.log",
            database=roles,
            archive_config=state / "pgbackrest" / "pgbackrest.conf" if archive else None,
            pgbackrest=programs.find("pgbackrest"),
            segment_megabytes=SEGMENT_MEGABYTES,
            settings={**QUICK, **(settings or {})},
        )
        self._clusters.append(cluster)
        if archive:
            cluster.initialise()
        else:
            self._initialise_from_copy(cluster)
        cluster.start()
        if databases:
            (make_product_database if roles == "product" else _ops_roles)(cluster)
        return cluster

    def _initialise_from_copy(self, cluster: PostgresCluster) -> None:
        """Initialise a cluster with the files of the first one: initdb takes a second of CPU.

        Not one that archives: pgBackRest tells clusters apart by the identifier that initdb gives them.
        """
        initdb = cluster.programs.path("initdb")
        if (made := self._initialised.get(initdb)) is not None:
            cluster.data_dir.parent.mkdir(parents=True)
            _copy(made, cluster.data_dir)
        cluster.initialise()
        if made is None:
            self._initialised[initdb] = self.root / f"initialised-{len(self._initialised)}"
            _copy(cluster.data_dir, self._initialised[initdb])

    # --- settings -----------------------------------------------------------------------------------

    def settings_for(
        self,
        *clusters: PostgresCluster,
        database: OpsDatabase | None = None,
        role: str = "ops_worker",
        stanza: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        second_repository: bool = False,
    ) -> Settings:
        """Real Settings whose backups.yaml declares one stanza per cluster, in the first cluster's state.

        Each stanza is a copy of the default stanza ``product``, changed by ``stanza`` (merged in depth);
        ``environ`` is laid over the environment last. ``second_repository``: in the other store, ``offsite``.
        """
        state = state_dir(clusters[0]) if clusters else self.root
        config = state / f"config{next(self._numbers)}"
        config.mkdir()
        store = self.object_store()
        secrets = SecretStore(state / "secrets")
        secrets.token("pgbackrest-cipher-pass", 48)
        signing_keys(secrets, DR_SIGNING_KEY, DR_PUBLIC_KEY)
        values = {
            "PATH": os.environ.get("PATH", os.defpath),
            "OPS_STATE_DIR": str(state),
            "OPS_CONFIG_DIR": str(config),
            "OPS_CA_FILE": str(self.certificates.ca_file),
            "OPS_PGBACKREST_CIPHER_PASS_FILE": str(secrets.path("pgbackrest-cipher-pass")),
            "OPS_DR_SIGNING_KEY_FILE": str(secrets.path(DR_SIGNING_KEY)),
            "OPS_DR_PUBLIC_KEY_FILE": str(secrets.path(DR_PUBLIC_KEY)),
            **store.settings_environment(),
        }
        if os.geteuid() == 0:
            values["OPS_RUN_AS_USER"] = run_as().name
        if database is not None:
            values["OPS_DATABASE_URL"] = database.url(role)
            values["OPS_OWNER_DATABASE_URL"] = database.url("ops_owner")
        default = yaml.safe_load((files.default_config_dir() / "backups.yaml").read_text(encoding="utf-8"))
        template = yaml.safe_dump(default["stanzas"]["product"])
        if second_repository:
            default = with_second_repository(default)
            values |= self._second_environment(secrets)
        default["stanzas"] = {}
        for cluster in clusters:
            variable = "OPS_" + cluster.name.upper().replace("-", "_")
            mine = yaml.safe_load(template.replace("OPS_PRODUCT", variable))
            default["stanzas"][cluster.name] = _merge(mine, stanza or {})
            values |= {
                f"{variable}_DATABASE_URL": cluster.url(role),
                f"{variable}_DATA_DIR": str(cluster.data_dir),
                f"{variable}_SOCKET_DIR": str(cluster.socket_dir),
                f"{variable}_PORT": str(cluster.port),
            }
        if clusters:
            values["OPS_PRODUCT_DATABASE_URL"] = clusters[0].url(role)
            values["OPS_PRODUCT_OWNER_DATABASE_URL"] = clusters[0].url("ops_owner")
        (config / "backups.yaml").write_text(yaml.safe_dump(default, sort_keys=False), encoding="utf-8")
        return load_settings({**values, **(environ or {})})

    def _second_environment(self, secrets: SecretStore) -> dict[str, str]:
        store = self.second_object_store()
        secrets.token("pgbackrest-cipher-pass-2", 48)
        values = {
            "OPS_REPO2_S3_ENDPOINT_URL": store.endpoint_url,
            "OPS_REPO2_CA_FILE": str(self.certificates.ca_file),
            "OPS_REPO2_PGBACKREST_CIPHER_PASS_FILE": str(secrets.path("pgbackrest-cipher-pass-2")),
            "PGBACKREST_REPO2_S3_BUCKET": store.bucket("backup"),
            "OPS_REPO2_S3_DRILL_BUCKET": store.buckets[DRILL],
        }
        for role in BACKUP_ROLES:
            prefix = f"OPS_REPO2_S3_{role.upper()}"
            values[f"{prefix}_ACCESS_KEY_ID"] = store.access_key_id(role)
            values[f"{prefix}_SECRET_ACCESS_KEY_FILE"] = str(store.secret_file(role))
        return values


@dataclass(frozen=True)
class OpsDatabase:
    """A migrated ops database of a test's own, in the worker's shared ops cluster."""

    cluster: PostgresCluster
    name: str

    def url(self, role: str = "ops_worker") -> str:
        return self.cluster.url(role, self.name)

    def superuser(self) -> psycopg.Connection[tuple[object, ...]]:
        return self.cluster.superuser(self.name)


@dataclass
class OpsDatabases:
    """Makes ops databases: one is migrated, the others are copies of it."""

    cluster: PostgresCluster
    _made: int = 0

    TEMPLATE = "ops_template"

    def create(self) -> OpsDatabase:
        if not self._made:
            with self.cluster.superuser() as superuser:
                ensure_database(superuser, self.TEMPLATE, "ops_owner")
            with self.cluster.superuser(self.TEMPLATE) as superuser:
                run_roles(superuser, "ops")
            for folder in ("ops", "product"):
                migrate(self.cluster.url("ops_owner", self.TEMPLATE), files.carried("sql") / folder)
        self._made += 1
        name = f"ops_{self._made}"
        with self.cluster.superuser() as superuser:
            superuser.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER ops_owner STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(self.TEMPLATE)
                )
            )
            ensure_database(superuser, name, "ops_owner", (*CLIENT_ROLES, "ops_analyst", "ops_guard"))
        return OpsDatabase(self.cluster, name)

    def drop(self, database: OpsDatabase) -> None:
        with self.cluster.superuser() as superuser:
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--", str(source), str(target)], check=True)


def state_dir(cluster: PostgresCluster) -> Path:
    """The state directory ($OPS_STATE_DIR) that a test cluster belongs to."""
    return cluster.data_dir.parent.parent


def make_product_database(cluster: PostgresCluster) -> None:
    """Make the roles and the database of the demo product in a new cluster."""
    with cluster.superuser() as superuser:
        run_roles(superuser, "product")
        run_roles(superuser, "demo")
        cluster.roles.grant_login(superuser, PRODUCT_ROLES)
        ensure_database(superuser, "product", "product_owner", ("product_app", "ops_eraser", *CLIENT_ROLES))
    with cluster.superuser("product") as superuser:
        run_roles(superuser, "product")
    if any((files.carried("sql") / "product").glob("*.sql")):
        migrate(cluster.url("ops_owner", "product"), files.carried("sql") / "product")


def _ops_roles(cluster: PostgresCluster) -> None:
    with cluster.superuser() as superuser:
        run_roles(superuser, "ops")
        cluster.roles.grant_login(superuser, OPS_ROLES)


def _merge(base: Any, over: Mapping[str, Any]) -> Any:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merge(merged.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged
