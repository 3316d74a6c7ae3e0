"""The API over real PostgreSQL and Redis, with an identity provider of its own and a clock that obeys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ops_platform.api.app import build
from ops_platform.api.service import Service, open_service
from ops_platform.gdpr.export import archive_store as exports
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import load_settings
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.gdpr.requests_database import T0, Requests, requests_of
from ops_platform_tests.services import OpsDatabase

ISSUER, AUDIENCE = "https://login.example.org", "gdpr-api"
PUBLIC = "https://privacy.example.org"
EMAIL = "anna@example.org"
NO_STORE = {
    "OPS_S3_ENDPOINT_URL": "https://s3.example.org",
    "OPS_S3_EXPORTS_BUCKET": "exports",
    "OPS_S3_EXPORTS_ACCESS_KEY_ID": "exports",
    "OPS_S3_EXPORTS_SECRET_ACCESS_KEY": "secret",
}
"""Links are signed for it, and it is never asked."""
Answer = httpx.Response
DATA = b"all that there is"


@dataclass(frozen=True)
class Provider:
    """Signing keys by id, and the JWKS file that names their public halves."""

    file: Path
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def rotate(self, key_id: str, algorithm: str = "EdDSA") -> None:
        """One more key, known from now on."""
        made: dict[str, Any] = {
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RS256": lambda: rsa.generate_private_key(65537, 2048),
        }
        self.keys[key_id] = (algorithm, made[algorithm]())
        self.publish(*self.keys)

    def publish(self, *key_ids: str) -> None:
        entries = []
        for key_id in key_ids:
            algorithm, key = self.keys[key_id]
            public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
            entries.append({**public, "kid": key_id, "use": "sig"})
        self.file.write_text(json.dumps({"keys": entries}))

    def token(self, subject: object, key_id: str = "first", **changes: Any) -> str:
        """A bearer token; a change of None leaves the claim out."""
        algorithm, key = self.keys[key_id]
        claims = {
            "sub": str(subject),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": datetime.now().timestamp() + 600,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key, algorithm, headers={"kid": key_id})


@dataclass
class House:
    """``service.clock`` and the limiter's follow ``now``."""

    service: Service
    provider: Provider
    product: PostgresCluster
    table: Requests
    environ: dict[str, str]
    """Of a process that is to serve the same."""
    now: datetime = T0

    def person(self, email: str | None = EMAIL) -> UUID:
        """Somebody with an account."""
        subject = uuid4()
        with self.product.superuser("product") as superuser:
            superuser.execute("INSERT INTO people (id, email) VALUES (%s, %s)", (subject, email))
        return subject

    def bearer(self, subject: object) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.provider.token(subject)}"}

    @asynccontextmanager
    async def client(self, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(build(self.service), client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="https://api") as client:
            yield client

    def send(self, method: str, path: str, *, address: str = "192.0.2.1", **arguments: Any) -> Answer:
        async def once() -> Answer:
            async with self.client(address) as client:
                return await client.request(method, path, **arguments)

        return anyio.run(once)

    def request(self, subject: object, request_type: str = "erasure", **arguments: Any) -> Answer:
        headers = {**self.bearer(subject), **arguments.pop("headers", {})}
        return self.send(
            "POST", "/api/gdpr/request", json={"request_type": request_type}, headers=headers, **arguments
        )

    def verify(self, request_id: str, token: str, **arguments: Any) -> Answer:
        return self.send("POST", f"/api/gdpr/verify/{request_id}", json={"token": token}, **arguments)

    def pass_time(self, span: timedelta) -> None:
        self.now += span

    def metric(self, name: str, **labels: str) -> float | None:
        return self.service.metrics.registry.get_sample_value(name, labels)

    def unlimited(self) -> None:
        self.change(window=replace(self.service.window, limit=100_000))

    def change(self, **changes: Any) -> None:
        """Other settings of the service."""
        self.service = replace(self.service, **changes)


def exported(api: House, subject: UUID, key: str = "x.zip") -> str:
    """The request of an export that is done."""
    request_id: str = api.request(subject, "export").json()["request_id"]
    api.verify(request_id, api.table.token(request_id))
    api.table.claim(request_id, "processing")
    exports.record(
        api.table.worker,
        request_id,
        object_key=f"{request_id}/{key}",
        size=len(DATA),
        sha256="0" * 64,
        map_version="1",
        effects=[Effect("s3", "media/{id}/", "files", "export", 1, 1, 1)],
        now=api.now,
    )
    api.table.claim(request_id, "completed", "fulfilled")
    return request_id


CERTIFICATE = {
    "certificate_id": "c1",
    "map_version": "m1",
    "effects": [],
    "kept_by_law": [],
    "limits": [],
    "last_backup_expires_at": "2026-06-01T00:00:00+00:00",
}
"""The least that every format has, in some words."""


def certified(api: House, subject: UUID) -> str:
    """An erasure that is done."""
    request_id: str = api.request(subject).json()["request_id"]
    api.verify(request_id, api.table.token(request_id))
    api.table.claim(request_id, "processing")
    api.table.worker.execute(
        "INSERT INTO gdpr_certificates (request_id, certificate_id, document, signature, key_id, issued_at) "
        "VALUES (%s, %s, %s, 'c2ln', 'key', %s)",
        (request_id, str(uuid4()), json.dumps({**CERTIFICATE, "request_id": request_id}), api.now),
    )
    api.table.claim(request_id, "completed", "fulfilled")
    return request_id


@contextmanager
def house(
    database: OpsDatabase, product: PostgresCluster, redis: RunningRedis, directory: Path, **environ: str
) -> Iterator[House]:
    provider = Provider(directory / "jwks.json")
    provider.rotate("first")
    values = {
        **redis.environ,
        "OPS_DATABASE_URL": database.url("ops_api"),
        "OPS_PRODUCT_DATABASE_URL": product.url("ops_api"),
        "OPS_API_URL": PUBLIC,
        "OPS_JWT_ISSUER": ISSUER,
        "OPS_JWT_AUDIENCE": AUDIENCE,
        "OPS_JWT_JWKS_FILE": str(provider.file),
        "OPS_API_SUBJECT_TABLE": "people",
        **({} if "OPS_S3_ENDPOINT_URL" in environ else NO_STORE),
        **environ,
    }
    service = open_service(load_settings(values))
    service.window.cache.client.flushdb()
    with requests_of(database) as table:
        made = House(service, provider, product, table, values)
        made.change(
            clock=lambda: made.now, window=replace(service.window, clock=lambda: made.now.timestamp())
        )
        yield made
    service.close()


def problem(answer: Answer, status: int, name: str) -> dict[str, Any]:
    """The problem document of an answer, which must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:ops-platform:problem:{name}"
    assert document["status"] == status
    assert set(document) <= {"type", "title", "status", "detail", "errors"}
    return document
