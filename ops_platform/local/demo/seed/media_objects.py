"""The demo's objects in the media bucket: a bounded number, made from the rows that name them.

Media files are ``creators/<creator id>/<media id>.<ext>``, avatars ``avatars/<creator number>/256.png``:
``avatars/3/`` is a prefix of nothing else, ``avatars/3`` is one of ``avatars/30/``. Some avatars
have earlier versions, and one media file was withdrawn: a delete marker hides it.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.local.demo import people
from ops_platform.local.demo.seed.plan import CREATORS_WITH_OBJECTS

VERSIONED = 5
"""Creators 1 .. VERSIONED have VERSIONS versions of their avatar."""
VERSIONS = 3
WITHDRAWN = 2
"""This creator's ``withdrawn.jpg`` exists only as a version below a delete marker."""

_PARALLEL = 8
_CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4", "ogg": "audio/ogg"}


@dataclass(frozen=True)
class DemoObject:
    """One key of the bucket, its number of versions, and whether a delete marker hides it."""

    key: str
    versions: int = 1
    withdrawn: bool = False


def seed_media(connection: Connection, media: ObjectStore) -> int:
    """Put the missing objects into the bucket; return the number of puts. Safe to repeat after a kill.

    Raises what the object store's client raises.
    """
    existing: dict[str, list[tuple[str | None, bool]]] = defaultdict(list)
    for prefix in ("avatars/", "creators/"):
        for version in media.versions(prefix):
            existing[version.key].append((version.version_id, version.delete_marker))
    objects = _wanted(connection)
    media.client  # noqa: B018  built before the threads share it
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return sum(pool.map(lambda wanted: _complete(media, wanted, existing.get(wanted.key, [])), objects))


def body(key: str, version: int) -> bytes:
    """Make the bytes of one version: a small picture for avatars, incompressible bytes for media files."""
    seed = hashlib.sha512(f"{key}:{version}".encode()).digest()
    if key.endswith(".png"):
        return _png(seed)
    blocks = 64 + seed[0]
    return b"".join(hashlib.sha512(seed + block.to_bytes(2, "big")).digest() for block in range(blocks))


def _wanted(connection: Connection) -> Iterator[DemoObject]:
    # From rows, not from the plan: objects that were erased since must not come back.
    avatars = connection.execute(
        "SELECT c.number, p.avatar_key FROM profiles p JOIN creators c ON c.id = p.creator_id "
        "WHERE p.avatar_key IS NOT NULL AND c.number <= %s ORDER BY c.number",
        (CREATORS_WITH_OBJECTS,),
    )
    for row in avatars.fetchall():
        yield DemoObject(row["avatar_key"], VERSIONS if row["number"] <= VERSIONED else 1)
        if row["number"] == WITHDRAWN:
            yield DemoObject(f"creators/{people.creator_id(WITHDRAWN)}/withdrawn.jpg", withdrawn=True)
    files = connection.execute(
        "SELECT m.object_key FROM media m JOIN creators c ON c.id = m.creator_id "
        "WHERE m.object_key IS NOT NULL AND c.number <= %s ORDER BY 1",
        (CREATORS_WITH_OBJECTS,),
    )
    for row in files.fetchall():
        yield DemoObject(row["object_key"])


def _complete(media: ObjectStore, wanted: DemoObject, existing: Iterable[tuple[str | None, bool]]) -> int:
    kept = [version_id for version_id, marker in existing if not marker]
    marked = any(marker for _, marker in existing)
    # A bucket that keeps no versions has one, called null: more puts would not add any.
    if not (kept and kept[0] in (None, "null")):
        for version in range(len(kept), wanted.versions):
            media.put(wanted.key, body(wanted.key, version), content_type=_content_type(wanted.key))
    if wanted.withdrawn and not marked:
        media.delete(wanted.key)
    return max(0, wanted.versions - len(kept))


def _content_type(key: str) -> str:
    return _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")


def _png(seed: bytes) -> bytes:
    """Draw an 8 x 8 picture, symmetric about its middle, uncompressed: the same bytes with any zlib."""
    rows = b""
    for y in range(8):
        half = [seed[16:19] if seed[y] >> x & 1 else b"\xf4\xf4\xf0" for x in range(4)]
        rows += b"\0" + b"".join(half + half[::-1])
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 0)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
