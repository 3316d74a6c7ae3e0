"""A ledger of a test's own: database, bucket under object lock, key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg

from ops_platform.audit.findings import Verification
from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.audit.ledger import AuditEvent, append
from ops_platform.audit.seal import Seal
from ops_platform.audit.sealer import seal, seal_all
from ops_platform.audit.verify import check
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.local.servers.object_store_server import REGION, ObjectStoreServer
from ops_platform.settings import S3Identity
from ops_platform_tests.services import OpsDatabase


@dataclass
class Rig:
    """What the tests of the ledger work with; ``superuser`` is who attacks."""

    database: OpsDatabase
    store: ObjectStore
    private_pem: str
    public_pem: str
    _open: list[Connection] = field(default_factory=list)

    @property
    def key(self) -> SigningKey:
        return SigningKey(self.private_pem)

    @property
    def keys(self) -> PublicKeys:
        return PublicKeys.parse(self.public_pem)

    def connect(self, role: str = "ops_worker") -> Connection:
        connection = postgres.connect(self.database.url(role))
        self._open.append(connection)
        return connection

    def superuser(self) -> psycopg.Connection[Any]:
        return self.database.superuser()

    def events(self, count: int, *, per_transaction: int = 1) -> None:
        """Append events numbered in their details."""
        with postgres.connect(self.database.url()) as connection:
            for number in range(count):
                append(connection, event(number))
                if (number + 1) % per_transaction == 0:
                    connection.commit()

    def seal(self, **options: Any) -> Seal | None:
        with postgres.connect(self.database.url("ops_agent")) as connection:
            return seal(connection, self.store, self.key, **options)

    def seal_all(self, **options: Any) -> list[Seal]:
        with postgres.connect(self.database.url("ops_agent")) as connection:
            return seal_all(connection, self.store, self.key, **options)

    def check(self, **options: Any) -> Verification:
        with postgres.connect(self.database.url()) as connection:
            return check(connection, self.store, self.keys, **options)

    def findings(self, **options: Any) -> list[str]:
        return [str(finding) for finding in self.check(**options).findings]

    def attack(self, *statements: str) -> None:
        """Run as a superuser with every trigger of the ledger out of the way."""
        with self.superuser() as superuser:
            superuser.execute("SET session_replication_role = replica")
            for table in ("audit_events", "audit_seals"):
                superuser.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            for statement in statements:
                superuser.execute(statement)
            for table in ("audit_events", "audit_seals"):
                superuser.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")

    def close(self) -> None:
        for connection in self._open:
            connection.close()


def event(number: int = 0, **changes: Any) -> AuditEvent:
    fields: dict[str, Any] = {
        "action": "backup.run",
        "phase": "event",
        "operation_id": f"run-{number}",
        "object": "product",
        "actor": "tests",
        "details": {"number": number},
    }
    return AuditEvent(**{**fields, **changes})


def store_of(server: ObjectStoreServer, prefix: str, role: str = "ledger", **changes: Any) -> ObjectStore:
    identity = S3Identity(
        role="ledger",
        bucket=changes.get("bucket", server.bucket("ledger")),
        prefix=prefix,
        access_key_id=changes.get("access_key_id", server.access_key_id(role)),
        secret_access_key=changes.get("secret_access_key", server.secret_access_key(role)),
    )
    return ObjectStore(
        changes.get("endpoint_url", server.endpoint_url),
        REGION,
        identity,
        changes.get("ca_file", server.ca_file),
    )
