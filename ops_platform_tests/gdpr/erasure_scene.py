"""A demo product with objects, cache and an ops database of a test's own, and somebody to be erased in it."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ops_platform import files
from ops_platform.clients import object_store
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.redis.cache import Cache, from_settings
from ops_platform.dr.verification import backup_expiry as backup_term
from ops_platform.gdpr import fulfilment
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import context as erasure_context
from ops_platform.gdpr.erasure.checkpoints import At, Log
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.gdpr.row_erasure import residue_scan as residue
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.local.components import signing_keys
from ops_platform.local.host.secrets import SecretStore
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.gdpr.erasing import Product, Products
from ops_platform_tests.gdpr.other_stores import sealing_key
from ops_platform_tests.gdpr.requests_database import Requests, requests_of
from ops_platform_tests.services import OpsDatabase, Services
from ops_platform_tests.worker_process import worker_process

OTHERS = {
    "profiles": "SELECT p FROM profiles AS p WHERE creator_id <> %(who)s",
    "sessions": "SELECT s FROM sessions AS s WHERE creator_id <> %(who)s",
    "usage_logs": "SELECT u FROM usage_logs AS u WHERE creator_id IS DISTINCT FROM %(who)s",
    "media": "SELECT m FROM media AS m WHERE creator_id <> %(who)s",
    "webhooks": "SELECT w FROM webhooks AS w WHERE creator_id <> %(who)s",
    "ledger_entries": "SELECT l FROM ledger_entries AS l",
    "posts": "SELECT (id, creator_id, title, body, status) FROM posts WHERE id = ANY(%(posts)s)",
    "comments": "SELECT c FROM comments AS c WHERE id = ANY(%(comments)s)",
    "creators": "SELECT (id, handle, email, full_name) FROM creators WHERE id = ANY(%(creators)s)",
    "audit_logs": "SELECT a FROM audit_logs AS a WHERE id = ANY(%(audit_logs)s)",
}
"""What is nobody's but others', in SQL that knows nothing of the data map."""
KEYS_OF_OTHERS = {
    "posts": "SELECT id FROM posts WHERE creator_id <> %(who)s",
    "comments": "SELECT id FROM comments WHERE author_id <> %(who)s",
    "creators": "SELECT id FROM creators WHERE id <> %(who)s",
    "audit_logs": "SELECT id FROM audit_logs WHERE actor_id IS DISTINCT FROM %(who)s "
    "AND subject_id IS DISTINCT FROM %(who)s AND subject_email IS DISTINCT FROM %(email)s",
}
"""Where the subject's rows may stay in another's name, so that they are told apart by keys taken before."""


@dataclass(frozen=True)
class Scene:
    """``who`` is erased; ``neighbour`` has an object and a key that look alike."""

    settings: Settings
    product: Product
    requests: Requests
    data_map: DataMap
    who: UUID
    identity: Identity
    neighbour: UUID
    media: ObjectStore
    exports: ObjectStore
    ledger: ObjectStore
    cache: Cache
    keys_of_others: Mapping[str, list[Any]]

    @property
    def ops_url(self) -> str:
        return self.requests.database.url("ops_worker")

    def context(self) -> ErasureContext:
        return erasure_context.open_context(self.settings, backup_term.product_backup_term(self.settings))

    def request(self) -> str:
        """A confirmed request of ``who``, by its id."""
        request_id = self.requests.make(self.who).request.request_id
        self.requests.verify(request_id, self.requests.token(request_id))
        return request_id

    def worker(self, request_id: str, step: str = "", when: str = "") -> str:
        """Let a process work on it; what it says, or ``KILLED``."""
        module = "ops_platform_tests.gdpr.erasure_worker"
        with worker_process(module, self.settings, request_id, step, when) as worker:
            said, code = worker.stdout.read(), worker.wait()
        if code == -signal.SIGKILL:
            return "KILLED"
        assert code == 0, said
        return said.strip()

    def at_once(self) -> None:
        """As if the pause after a failed attempt were over, and it had not been the last but one."""
        self.requests.worker.execute("UPDATE gdpr_requests SET next_attempt_at = NULL, attempts = 0")

    def others(self) -> dict[str, str]:
        """Number and content of what is not the subject's."""
        found = {}
        with self.product.cluster.superuser(self.product.name) as connection:
            for name, query in OTHERS.items():
                row = connection.execute(
                    f"SELECT count(*), sum(hashtextextended(x::text, 0)::numeric) FROM ({query}) AS t (x)",
                    {"who": self.who, **self.keys_of_others},
                ).fetchone()
                found[name] = str(row)
        return found

    def residue(self) -> list[str]:
        """Columns in which an identifier of the subject stands, whatever the map says."""
        with self.product.eraser() as connection:
            found = residue.scan(connection, catalogue.read(connection), self.identity.values.values())
        return [f"{one.table}.{one.column}" for one in found]

    def rows_of(self) -> int:
        with self.product.cluster.superuser(self.product.name) as connection:
            row = connection.execute("SELECT count(*) FROM creators WHERE id = %s", (self.who,)).fetchone()
        assert row is not None
        return int(str(row[0]))

    def objects(self, subject: UUID) -> int:
        """Versions and delete markers."""
        return sum(1 for _ in self.media.versions(f"creators/{subject}/"))

    def keys(self, subject: UUID) -> int:
        return sum(1 for _ in self.cache.keys(f"creator:{subject}:"))

    def untouched(self) -> bool:
        """Whether nothing was destroyed yet."""
        return bool(self.rows_of()) and self.objects(self.who) == 3 and self.keys(self.who) == 2

    def tombstones(self) -> tuple[int, int]:
        """In the ops database, acknowledged; and in the ledger."""
        rows = self.requests.worker.execute(
            "SELECT count(*) AS n FROM erasure_tombstones WHERE copied_at IS NOT NULL"
        ).fetchall()
        return int(rows[0]["n"]), sum(1 for _ in self.ledger.list("tombstones/"))

    def ops_count(self, table: str) -> int:
        return self.requests.count(table)


@contextmanager
def scene(
    services: Services, products: Products, database: OpsDatabase, redis: RunningRedis, data_map: DataMap
) -> Iterator[Scene]:
    """Letters leave as soon as they are written."""
    product = products.create("product")
    try:
        settings = settings_of(services, product, database, redis)
        with requests_of(database) as requests, from_settings(settings) as cache:
            cache.client.flushdb()
            with database.superuser() as superuser:
                superuser.execute(_LETTERS_LEAVE)
            who, neighbour, identity = _people(product, data_map)
            media, exports, ledger = (
                object_store.from_settings(settings, role) for role in ("media", "exports", "ledger")
            )
            for subject in (who, neighbour):
                media.put(f"creators/{subject}/a.jpg", b"one")
                media.put(f"creators/{subject}/a.jpg", b"two")
                media.put(f"creators/{subject}/b.jpg", b"three")
                cache.set_many({f"creator:{subject}:page": "x", f"creator:{subject}:stats": "y"})
            cache.set_many({f"handle:{identity.values['handle']}": "x"})
            yield Scene(
                settings,
                product,
                requests,
                data_map,
                who,
                identity,
                neighbour,
                media,
                exports,
                ledger,
                cache,
                _keys_of_others(product, identity),
            )
    finally:
        products.drop(product)


_LETTERS_LEAVE = """
CREATE FUNCTION letters_leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.sent_at := now(); RETURN NEW; END $$;
CREATE TRIGGER letters_leave BEFORE INSERT ON mail_outbox FOR EACH ROW
    WHEN (NEW.dedup_key LIKE 'gdpr-processor:%') EXECUTE FUNCTION letters_leave();
"""


def work_on(
    ops_url: str,
    request_id: str,
    opening: Callable[[], ErasureContext],
    *,
    log: Log = lambda line: None,
    at: At = lambda step, when: None,
) -> None:
    """Work on an erasure request as the job does, and raise what ended it."""
    [own, *_] = fulfilment.erase_with_waiting(ops_url, request_id, "run", opening, log=log, at=at)
    if own.error is not None:
        raise own.error


def settings_of(services: Services, product: Product, database: OpsDatabase, redis: RunningRedis) -> Settings:
    cluster, mark = product.cluster, secrets.token_hex(4)
    url = cluster.url("ops_worker", product.name)
    keys = SecretStore(services.root / f"gdpr-{mark}")
    signing_keys(keys, "private", "public")
    settings = services.settings_for(
        cluster,
        database=database,
        environ={
            **redis.environ,
            "OPS_PRODUCT_DATABASE_URL": url,
            f"OPS_{cluster.name.upper()}_DATABASE_URL": url,
            "OPS_PRODUCT_ERASER_DATABASE_URL": cluster.url("ops_eraser", product.name),
            "OPS_GDPR_ENCRYPTION_KEY": sealing_key(),
            "OPS_GDPR_SIGNING_KEY_FILE": str(keys.path("private")),
            "OPS_GDPR_PUBLIC_KEY_FILE": str(keys.path("public")),
            **{f"OPS_S3_{role}_PREFIX": f"{mark}/" for role in ("MEDIA", "EXPORTS", "LEDGER")},
        },
    )
    shutil.copy(files.default_config_dir() / "data_map.yaml", settings.config_dir)
    return load_settings({name: value.get_secret_value() for name, value in settings.environ.items()})


def _keys_of_others(product: Product, identity: Identity) -> dict[str, list[Any]]:
    values = {"who": identity.values["id"], "email": identity.values["email"]}
    with product.cluster.superuser(product.name) as connection:
        return {
            name: [row[0] for row in connection.execute(query, values)]
            for name, query in KEYS_OF_OTHERS.items()
        }


def _people(product: Product, data_map: DataMap) -> tuple[UUID, UUID, Identity]:
    """Somebody with much of everything, and somebody else."""
    with postgres.session(product.cluster.url("product_owner", product.name)) as connection:
        rows: list[dict[str, Any]] = connection.execute(
            "SELECT c.id FROM creators AS c JOIN posts AS p ON p.creator_id = c.id "
            "WHERE EXISTS (SELECT FROM audit_logs AS a WHERE a.actor_id = c.id) "
            "GROUP BY c.id ORDER BY count(*) DESC, c.id LIMIT 2"
        ).fetchall()
        found = catalogue.read(connection)
        identity = subject_rows.identity(connection, data_map, found, str(rows[0]["id"]))
    assert identity is not None
    return rows[0]["id"], rows[1]["id"], identity
