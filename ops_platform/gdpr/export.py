"""An export from a request to the archive in the bucket: once for each request, whatever kills it between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.effects import Effect
from ops_platform.settings import Settings


@dataclass(frozen=True)
class ExportContext:
    """``ops`` and ``product`` open connections; ``media`` is the store of a bucket of the map."""

    ops: Callable[[], Connection]
    product: Callable[[], Connection]
    exports: ObjectStore
    media: Callable[[str], ObjectStore]
    data_map: DataMap
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def open_context(settings: Settings) -> ExportContext:
    """Raises ConfigurationError; connects to nothing."""
    raise NotImplementedError


def run(
    context: ExportContext, request_id: str, progress: Callable[[str, int], None] = lambda place, count: None
) -> list[Effect]:
    """Make the export of a claimed request, record it and write the mail; finds an export that is there.

    The caller moves the request to ``completed`` afterwards. ``progress`` takes a place of an Effect and
    how many rows or objects of it are done. Raises UnknownRequest, CheckFailed (the map does not fit, or
    there is no such subject), Unavailable, ConfigurationError, or what psycopg raises.
    """
    raise NotImplementedError
