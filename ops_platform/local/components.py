"""Components of one stack, built from its state directory and its ports. Nothing is started here."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops_platform import files
from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza import BackupConfig, config_file
from ops_platform.local import guard_accounts
from ops_platform.local.host import (
    Certificates,
    Layout,
    SecretStore,
    ServerCertificate,
    account,
    programs,
    write_private,
)
from ops_platform.local.servers import (
    AlertmanagerServer,
    ObjectStoreServer,
    PostgresCluster,
    PrometheusServer,
    RedisServer,
    development_identity,
    object_store_server,
)
from ops_platform.local.supervision import STACK_ID

PORT_NAMES = (
    "webserver",
    "webserver-readonly",
    "product",
    "ops",
    *object_store_server.PORTS,
    "redis",
    "prometheus",
    "alertmanager",
    "mail",
    "agent",
    "traffic",
    "code-server",
    "api",
    "api-metrics",
)
SECOND_STORE = {name: f"second-{name}" for name in object_store_server.PORTS}
"""Names of the second store's ports by what it calls them itself; there with a second repository only."""
CIPHER_PASS = "pgbackrest-cipher-pass"  # noqa: S105 - names of secrets, here and below
SECOND_CIPHER_PASS = "pgbackrest-cipher-pass-2"  # noqa: S105
SIGNING_KEY = "audit-signing-key"
PUBLIC_KEY = "audit-public-key"
DR_SIGNING_KEY = "dr-signing-key"
DR_PUBLIC_KEY = "dr-public-key"
GDPR_ENCRYPTION_KEY = "gdpr-encryption-key"
GDPR_SIGNING_KEY = "gdpr-signing-key"
GDPR_PUBLIC_KEY = "gdpr-public-key"
JWT_SIGNING_KEY = "jwt-signing-key"
JWT_PUBLIC_KEY = "jwt-public-key"


@dataclass(frozen=True)
class Components:
    """Servers, certificates, secrets and ports of a stack; our own processes are in ``start_order``."""

    layout: Layout
    ports: Mapping[str, int]
    secrets: SecretStore
    certificates: Certificates
    product: PostgresCluster
    ops: PostgresCluster
    object_store: ObjectStoreServer
    second_store: ObjectStoreServer | None
    """The store of the second repository of backups.yaml, with keys of its own; None where there is none."""
    redis: RedisServer
    prometheus: PrometheusServer
    alertmanager: AlertmanagerServer
    api_certificate: ServerCertificate
    stack_id: str

    def webserver_socket(self, name: str) -> Path:
        """Name the Unix socket of one of Dagster's webservers, which only the guard opens."""
        return self.layout.webserver_sockets / f"{name}.sock"

    def url(self, port: str) -> str:
        """Make the base URL of one of the plain HTTP services, all on loopback."""
        return f"http://127.0.0.1:{self.ports[port]}"

    @property
    def api_url(self) -> str:
        """Base URL of the data subjects' API."""
        return f"https://127.0.0.1:{self.ports['api']}"

    @property
    def jwks_file(self) -> Path:
        """Key document that the API checks bearer tokens with."""
        return self.layout.part("api") / "jwks.json"

    def prepare(self) -> None:
        """Write configuration files and secrets, make missing clusters; touches no running server."""
        for name in (CIPHER_PASS, object_store_server.SSE_KEY):
            self.secrets.hexadecimal(name)
        signing_keys(self.secrets, SIGNING_KEY, PUBLIC_KEY)
        signing_keys(self.secrets, DR_SIGNING_KEY, DR_PUBLIC_KEY)
        signing_keys(self.secrets, GDPR_SIGNING_KEY, GDPR_PUBLIC_KEY)
        self.secrets.keep(GDPR_ENCRYPTION_KEY, lambda: b64encode(secrets.token_bytes(32)).decode())
        signing_keys(self.secrets, JWT_SIGNING_KEY, JWT_PUBLIC_KEY)
        public = self.secrets.path(JWT_PUBLIC_KEY).read_text(encoding="utf-8")
        development_identity.write_jwks(public, self.jwks_file)
        guard_accounts.write(self.secrets)
        self.object_store.prepare()
        if self.second_store is not None:
            self.secrets.hexadecimal(SECOND_CIPHER_PASS)
            self.second_store.prepare()
        self.redis.prepare()
        self.prometheus.prepare()
        self.alertmanager.prepare()
        for cluster in (self.product, self.ops):
            if cluster.initialise():
                cluster.reload()


def required_programs(pgbackrest: str = "pgbackrest") -> None:
    """Check that all programs are installed.

    Raises ConfigurationError that names the first missing program and its Debian package.
    """
    version = programs.pgbackrest_version(pgbackrest)
    for name in (*programs.DEBIAN_PACKAGES, "weed"):
        if name != "pgbackrest":
            programs.find(name)
    programs.find_postgres(version)


def build(
    layout: Layout, ports: Mapping[str, int], config_dir: Path, pgbackrest: str = "pgbackrest"
) -> Components:
    """Build the components of the stack at ``layout``; issues certificates that are missing or end soon."""
    me, owner = account(None), layout.owner
    vault = SecretStore(layout.secrets)
    vault.prepare()
    certificates = Certificates(layout.tls)
    certificates.prepare()
    identity = stack_id(layout)
    backups = config_file.load(config_dir / "backups.yaml")
    postgres = programs.find_postgres(programs.pgbackrest_version(pgbackrest))

    def cluster(name: str) -> PostgresCluster:
        return PostgresCluster(
            name=name,
            data_dir=layout.postgres_data(name),
            socket_dir=layout.postgres_sockets,
            port=ports[name],
            programs=_programs_of(layout.postgres_data(name), postgres),
            account=owner,
            certificate=certificates.server("postgres", owner),
            ca_file=certificates.ca_file,
            secrets=vault,
            log_file=layout.log(f"{name}-postgres"),
            database=name,
            archive_config=layout.pgbackrest_config,
            pgbackrest=programs.find_pgbackrest(pgbackrest),
            environment={STACK_ID: identity},
            peers=("ops_dagster",) if name == "ops" else (),
        )

    def store(part: str, service: str, its_ports: Mapping[str, int], its: BackupConfig) -> ObjectStoreServer:
        return ObjectStoreServer(
            layout.part(part),
            its_ports,
            certificates.server("s3", me),
            certificates.ca_file,
            vault if part == "s3" else SecretStore(layout.part(f"{part}-secrets")),
            layout.log(service),
            lock_days=set_lifetime.lock_days(its.stanzas.values(), its.repository),
        )

    second_store = None
    if backups.second is not None:
        its_ports = {name: ports[kept] for name, kept in SECOND_STORE.items()}
        its = backups.of_repository(backups.second)
        second_store = store("s3-2", "second-object-store", its_ports, its)

    return Components(
        layout=layout,
        ports=ports,
        secrets=vault,
        certificates=certificates,
        product=cluster("product"),
        ops=cluster("ops"),
        object_store=store("s3", "object-store", ports, backups.of_repository(backups.repository)),
        second_store=second_store,
        redis=RedisServer(
            layout.part("redis"),
            ports["redis"],
            certificates.server("redis", me),
            certificates.ca_file,
            vault,
        ),
        prometheus=PrometheusServer(
            layout.part("prometheus"),
            ports["prometheus"],
            {
                "ALERTMANAGER_TARGET": f"127.0.0.1:{ports['alertmanager']}",
                "AGENT_TARGET": f"127.0.0.1:{ports['agent']}",
                "API_TARGET": f"127.0.0.1:{ports['api-metrics']}",
                "PRODUCT_TARGET": f"127.0.0.1:{ports['traffic']}",
                "OBJECT_STORE_TARGET": f"127.0.0.1:{ports['s3-metrics']}",
            },
            config_dir / "objectives",
            files.runbooks_url(),
        ),
        alertmanager=AlertmanagerServer(
            layout.part("alertmanager"),
            ports["alertmanager"],
            {
                "AGENT_URL": f"http://127.0.0.1:{ports['agent']}",
                "SMTP_SMARTHOST": f"127.0.0.1:{ports['mail']}",
                "SMTP_FROM": "alertmanager@localhost",
                "SMTP_REQUIRE_TLS": "false",
                "ALERT_EMAIL": "on-call@localhost",
            },
        ),
        api_certificate=certificates.server("api", me),
        stack_id=identity,
    )


def port_names(config_dir: Path) -> tuple[str, ...]:
    """List the names of the ports that a stack with this configuration has. Raises ConfigurationError."""
    second = config_file.load(config_dir / "backups.yaml").second
    return PORT_NAMES if second is None else (*PORT_NAMES, *SECOND_STORE.values())


def stack_id(layout: Layout) -> str:
    """Read the random id of a state directory, by which its processes are recognised; made the first time."""
    if not layout.stack_id_file.exists():
        write_private(layout.stack_id_file, secrets.token_hex(16) + "\n", 0o644)
    return layout.stack_id_file.read_text(encoding="utf-8").strip()


def _programs_of(data_dir: Path, newest: programs.PostgresPrograms) -> programs.PostgresPrograms:
    """Choose the version that made the cluster: after a system upgrade a newer one may be installed too."""
    try:
        major = int((data_dir / "PG_VERSION").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return newest
    return programs.postgres_of_version(major, data_dir)


def signing_keys(vault: SecretStore, signing: str, verifying: str) -> None:
    """Keep an Ed25519 pair in PEM; the public half is derived from the private one, so it always fits."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    def make() -> str:
        return (
            Ed25519PrivateKey.generate()
            .private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            .decode()
        )

    private = serialization.load_pem_private_key(vault.keep(signing, make).encode(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(vault.path(verifying), public.decode())
