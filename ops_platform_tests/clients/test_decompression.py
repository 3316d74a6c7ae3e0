"""Streams of the four codecs, as their libraries write them: read right, and damage seen."""

from __future__ import annotations

import bz2
import ctypes
import gzip
import random

import pytest

from ops_platform.clients.decompression import decompress
from ops_platform.errors import CheckFailed

PLAIN = random.Random(1).randbytes(100_000) + bytes(3_000_000)


def packed(codec: str) -> bytes:
    if codec == "gz":
        return gzip.compress(PLAIN)
    if codec == "bz2":
        return bz2.compress(PLAIN)
    out = ctypes.create_string_buffer(2 * len(PLAIN))
    if codec == "lz4":
        lz4 = ctypes.CDLL("liblz4.so.1")
        lz4.LZ4F_compressFrame.restype = ctypes.c_size_t
        size = lz4.LZ4F_compressFrame(
            out, ctypes.c_size_t(len(out)), PLAIN, ctypes.c_size_t(len(PLAIN)), None
        )
    else:
        zstd = ctypes.CDLL("libzstd.so.1")
        zstd.ZSTD_compress.restype = ctypes.c_size_t
        size = zstd.ZSTD_compress(out, ctypes.c_size_t(len(out)), PLAIN, ctypes.c_size_t(len(PLAIN)), 1)
    return out.raw[:size]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("codec", ["lz4", "zst", "gz", "bz2"])
def test_a_stream_is_read_and_its_damage_seen(codec: str) -> None:
    data = packed(codec)
    for size in (7_001, 1 << 20, len(data)):
        assert b"".join(decompress(pieces(data, size), codec)) == PLAIN
    for wrong in (data[:-9], data[: len(data) // 2], data + b"more of it", b"", b"\0" * 100):
        with pytest.raises(CheckFailed):
            b"".join(decompress(pieces(wrong, 65_536), codec))


def test_what_is_not_compressed_stays_as_it_is() -> None:
    assert list(decompress([b"a", b"b"], None)) == [b"a", b"b"]
