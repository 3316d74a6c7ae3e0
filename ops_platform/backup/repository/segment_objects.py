"""Objects of archived segments as a listing shows them: which can be used, and what is wrong with the others.

Pure. pgBackRest refuses a segment of which there are two objects (its code 45), and recovery ends at one
whose bytes are not a whole segment. Such a segment is as good as missing.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping

from ops_platform.backup.wal import Geometry
from ops_platform.clients.pgbackrest import SegmentFile, StoredEntry

_NO_BYTES = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
_MISNAMED = re.compile(r"(?P<segment>[0-9A-F]{24})-.*")
ENCRYPTION_BYTES = 32
"""The most that pgBackRest's encryption adds: a header of 16 and at most 16 of padding."""
# The least that a codec makes of a segment of zeros, as (divisor, bytes); measured, and rounded down.
_LEAST: Mapping[str | None, tuple[int, int]] = {
    None: (1, 0),
    "lz4": (256, 0),
    "gz": (1040, 0),
    "zst": (1 << 16, 0),
    "bz2": (1 << 30, 32),
}


def sort_out(
    listing: Mapping[str, StoredEntry], geometry: Geometry
) -> tuple[dict[str, StoredEntry], dict[str, str]]:
    """Sort a folder's listing: segment -> its one usable entry, and segment -> why it cannot be used."""
    objects: defaultdict[str, list[tuple[SegmentFile, StoredEntry]]] = defaultdict(list)
    faults: dict[str, str] = {}
    for name, entry in listing.items():
        file = SegmentFile.parse(name)
        if file is not None:
            objects[file.segment].append((file, entry))
        elif misnamed := _MISNAMED.fullmatch(name):
            faults[misnamed["segment"]] = "its name has no checksum"
    usable: dict[str, StoredEntry] = {}
    for segment, found in objects.items():
        fault = fault_of(found, geometry)
        if fault is None:
            usable[segment] = found[0][1]
            faults.pop(segment, None)
        else:
            faults[segment] = fault
    return usable, faults


def fault_of(found: list[tuple[SegmentFile, StoredEntry]], geometry: Geometry) -> str | None:
    """Say why recovery cannot use a segment with these objects; None when nothing is seen against it."""
    if len(found) > 1:
        checksums = len({file.checksum for file, _ in found})
        return f"there are {len(found)} objects of it, with {checksums} checksums"
    ((file, entry),) = found
    if file.checksum == _NO_BYTES:
        return "the checksum in its name is that of no segment"
    divisor, base = _LEAST.get(file.codec, (1 << 30, 1))
    least = geometry.size // divisor + base
    most = geometry.size + (0 if file.codec is None else geometry.size // 64 + 4096) + ENCRYPTION_BYTES
    if not least <= entry.size <= most:
        return f"its object has {entry.size} bytes, no whole segment of {geometry.size} has"
    return None
