"""The run of an export, from a claimed request to the archive in the bucket.

Each request gets one archive, whatever kills a run in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from ops_platform.clients import object_store, postgres
from ops_platform.clients.mail import outbox
from ops_platform.clients.object_store import ObjectStore, Upload
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import connections
from ops_platform.gdpr.connections import Connect
from ops_platform.gdpr.data_map import DataMap, kinds, parser
from ops_platform.gdpr.export import archive_store, content
from ops_platform.gdpr.export.archive_store import Export
from ops_platform.gdpr.export.content import ExportRequest
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.requests import UnknownRequest, mail_texts, precedence, sign_in, unsent_mails
from ops_platform.settings import Settings

CONTENT_TYPE = "application/zip"


@dataclass(frozen=True)
class ExportContext:
    """The systems of an export: ``ops`` and ``product`` open connections, ``media`` the store of a bucket.

    ``elsewhere`` opens those to the map's other databases, by name.
    """

    ops: Callable[[], Connection]
    product: Callable[[], Connection]
    exports: ObjectStore
    media: Callable[[str], ObjectStore]
    data_map: DataMap
    api_url: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    elsewhere: Mapping[str, Connect] = field(default_factory=dict)


def open_context(settings: Settings) -> ExportContext:
    """Build the context from the settings; connect to nothing. Raises ConfigurationError."""
    application = "ops-platform export"
    # Policies hide rows from the workers' role, and an export without them would not be whole.
    product = settings.product_eraser_database_url or settings.require("product_database_url")
    data_map = kinds.of_requests(
        parser.load(settings.config_dir / "data_map.yaml"), settings.api.subject_table
    )
    return ExportContext(
        ops=partial(postgres.connect, settings.require("database_url"), application=application),
        product=partial(postgres.connect, product, application=application),
        exports=object_store.from_settings(settings, "exports"),
        media=partial(object_store.from_settings, settings),
        data_map=data_map,
        api_url=settings.require("api_url"),
        elsewhere=connections.of_settings(settings, data_map, application=application),
    )


def run(
    context: ExportContext, request_id: str, progress: Callable[[str, int], None] = lambda place, count: None
) -> list[Effect]:
    """Make the export of a claimed request, record it and write the mail, unless it is recorded already.

    The caller moves the request to ``completed`` afterwards. ``progress`` takes a place of an Effect and
    how many rows or objects of it are done. Raises UnknownRequest, CheckFailed (the map does not fit, or
    there is no such subject), Unavailable, ConfigurationError, or what psycopg raises.
    """
    with context.ops() as ops:
        request = _request(ops, request_id)
        export = archive_store.find(ops, request_id)
    if export is None:
        export = _make(context, request, progress)
    # A killed run's leavings, and an archive that was not the first to be recorded.
    archive_store.clear(
        context.exports, request_id, kept_key=None if export.deleted_at else export.object_key
    )
    return list(export.effects)


def _make(context: ExportContext, request: dict[str, Any], progress: Callable[[str, int], None]) -> Export:
    request_id = str(request["request_id"])
    # Random: a run that is believed dead may still be at work.
    key = f"{archive_store.folder(request_id)}{uuid4()}.zip"
    content_request = ExportRequest(
        str(request["creator_id"]), request["language"], context.clock(), request_id
    )
    with (
        context.product() as product,
        connections.connected(context.elsewhere) as others,
        Upload(context.exports, key, content_type=CONTENT_TYPE) as upload,
    ):
        effects = content.write(
            product, context.data_map, content_request, upload, context.media, progress, others
        )
    with context.ops() as ops:
        if precedence.erasure_has_begun(ops, request_id):
            # This run has lost its claim meanwhile, or the erasure would have waited.
            archive_store.clear(context.exports, request_id)
            raise CheckFailed("the subject is being erased: there is nothing left to give them a copy of")
        now = context.clock()
        export = archive_store.record(
            ops,
            request_id,
            object_key=key,
            size=upload.bytes,
            sha256=upload.sha256,
            map_version=context.data_map.version,
            effects=effects,
            now=now,
        )
        stays_until = precedence.copy_stays_until(ops, request_id)
        until = stays_until or export.expires_at
        text = mail_texts.export_ready(
            request["language"],
            request_id=request_id,
            status_page=sign_in.status_page(context.api_url, request["language"]),
            until=until,
            erasure_waits=stays_until is not None,
        )
        outbox.put(
            ops,
            unsent_mails.export_key(request_id),
            request["requestor_email"],
            text.subject,
            text.body,
            give_up_after=until - now,
            now=now,
        )
    return export


def _request(ops: Connection, request_id: str) -> dict[str, Any]:
    row = ops.execute(
        "SELECT request_id, creator_id, requestor_email, language FROM gdpr_requests "
        "WHERE request_id = %s AND request_type = 'export' AND verified_at IS NOT NULL",
        (request_id,),
    ).fetchone()
    if row is None:
        raise UnknownRequest(f"there is no verified request {request_id} for an export")
    return row
