"""The export to a file, for the command line, which has no requests and no bucket of exports."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ops_platform import files
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.export import content
from ops_platform.gdpr.export.content import ExportRequest
from ops_platform.gdpr.lineage import Effect


@dataclass(frozen=True)
class ExportFile:
    """A written archive: ``bytes`` its size, ``sha256`` in hex."""

    file: Path
    bytes: int
    sha256: str
    effects: list[Effect]


class _Hashing:
    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self._out.write(data)


def write(
    connection: Connection,
    data_map: DataMap,
    request: ExportRequest,
    file: Path,
    media: Callable[[str], ObjectStore],
    others: Mapping[str, Connection] | None = None,
) -> ExportFile:
    """Write an archive to ``file``, which appears when it is whole, readable by its owner alone.

    ``others``: connections to the map's other databases, by name.

    Raises ConfigurationError when the file exists or cannot be written, and what ``content.write`` raises.
    """
    if file.exists():
        raise ConfigurationError(f"{file} is there already: remove it, or choose another directory")
    try:
        with files.replacing(file) as out:
            sink = _Hashing(out)
            effects = content.write(connection, data_map, request, sink, media, others=others)
            size = out.tell()
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}") from None
    return ExportFile(file, size, sink.digest.hexdigest(), effects)
