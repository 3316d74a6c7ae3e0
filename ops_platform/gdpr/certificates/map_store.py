"""The store of data maps, by their hash: a certificate can be read against its map for ever."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map import DataMap

SHORTEST = 8
"""Hex digits of the shortest beginning of a hash by which a map is looked for."""


@dataclass(frozen=True)
class StoredMap:
    """A map as it was used. ``document``: JSON, the exact text that ``sha256`` is of."""

    sha256: str
    document: str
    stored_at: datetime

    @property
    def version(self) -> str:
        """The version that certificates and lineage name."""
        return self.sha256[:16]

    def value(self) -> Any:
        """Parse the document: what the map's file says, without its comments.

        Its kinds of subject are in the file's order, which is part of the map: see ``data_map.parser``.
        """
        value = json.loads(self.document)
        order = value.pop("kinds", None)
        if order is not None:
            value["subjects"] = {kind: value["subjects"][kind] for kind in order}
        return value


def keep(ops: Connection, data_map: DataMap) -> None:
    """Store the map, unless it is there; ``ops`` commits by itself, or in the caller's transaction."""
    ops.execute(
        "INSERT INTO gdpr_maps (sha256, document) VALUES (%s, %s) ON CONFLICT (sha256) DO NOTHING",
        (data_map.sha256, data_map.document),
    )


def find(ops: Connection, beginning: str) -> StoredMap:
    """Find a map by its hash, its version, or another beginning of the hash.

    Raises ConfigurationError for what is no hash, CheckFailed when there is no such map, or more than one,
    or when it is not what its hash says.
    """
    beginning = beginning.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", beginning):
        raise ConfigurationError(
            f"this is not the hash of a map: give its version or map_sha256 as a certificate says it, "
            f"at least {SHORTEST} hex digits"
        )
    rows = ops.execute(
        "SELECT sha256, document, stored_at FROM gdpr_maps WHERE sha256 LIKE %s LIMIT 2", (f"{beginning}%",)
    ).fetchall()
    if not rows:
        raise CheckFailed(
            f"no map {beginning} is stored: maps are stored since erasures and exports are made by them in "
            "this ops database; look for an older one in the history of the file"
        )
    if len(rows) > 1:
        raise CheckFailed(f"the hashes of several maps begin with {beginning}: give more of it")
    stored = StoredMap(**rows[0])
    if hashlib.sha256(stored.document.encode()).hexdigest() != stored.sha256:
        raise CheckFailed(f"the map {stored.sha256} was changed after it was stored: its hash is another")
    return stored
