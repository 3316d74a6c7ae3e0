"""Damage to a stopped cluster's files, page by page (PostgreSQL's page layout: bufpage.h, htup_details.h)."""

from __future__ import annotations

import struct

from ops_platform_tests.dr.corpus.twin import Twin

PAGE = 8192
_HEADER = 24
_LOWER = 12
_INFOMASK2 = 18
_NATTS = 0x07FF


def too_many_attributes(twin: Twin) -> None:
    """A tuple that claims 2047 columns, more than any table has; read as before, under a right checksum."""
    path = twin.heap
    body = bytearray(path.read_bytes())
    offset = _first_tuple(body)
    (mask,) = struct.unpack_from("<H", body, offset + _INFOMASK2)
    struct.pack_into("<H", body, offset + _INFOMASK2, mask | _NATTS)
    path.write_bytes(body)
    twin.program("pg_checksums", "--disable", "--no-sync")
    twin.program("pg_checksums", "--enable", "--no-sync")


def wrong_checksum(twin: Twin) -> None:
    """Bytes in the middle of a page that nobody wrote."""
    path = twin.heap
    body = bytearray(path.read_bytes())
    body[4000:4064] = bytes(byte ^ 0xFF for byte in body[4000:4064])
    path.write_bytes(body)


def _first_tuple(page: bytes | bytearray) -> int:
    """Offset of the first tuple that is in use on the first page."""
    (lower,) = struct.unpack_from("<H", page, _LOWER)
    for at in range(_HEADER, lower, 4):
        (item,) = struct.unpack_from("<I", page, at)
        if (item >> 15) & 3 == 1:
            return int(item & 0x7FFF)
    raise AssertionError("the first page holds no tuple")
