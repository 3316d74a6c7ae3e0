"""Decompression of a stream in the codecs that pgBackRest writes: lz4, zstd, gzip, bzip2.

lz4 and zstd are the libraries that pgBackRest itself is linked with: where it runs, they are.
"""

from __future__ import annotations

import bz2
import ctypes
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Protocol

from ops_platform.errors import CheckFailed, Unavailable

CHUNK = 1 << 20
_LZ4_VERSION = 100


class _Decoder(Protocol):
    """Decodes chunk by chunk; ``ended`` when the stream is complete. Raises CheckFailed."""

    @property
    def ended(self) -> bool: ...

    def decode(self, chunk: bytes) -> Iterator[bytes]: ...


def decompress(chunks: Iterable[bytes], codec: str | None) -> Iterator[bytes]:
    """Decompress a stream of ``codec`` (``lz4``, ``zst``, ``gz``, ``bz2``; None: not compressed).

    Raises CheckFailed when the stream is damaged or ends too soon, Unavailable when this machine cannot
    read the codec.
    """
    if codec is None:
        yield from chunks
        return
    if codec not in _DECODERS:
        raise Unavailable(f"the codec {codec} is not known: install a newer ops_platform")
    with _DECODERS[codec]() as decoder:
        for chunk in chunks:
            yield from decoder.decode(chunk)
        if not decoder.ended:
            raise CheckFailed("it ends too soon")


class _ByPython:
    """Decoder over an object of zlib or bz2."""

    def __init__(self, decoder: zlib._Decompress | bz2.BZ2Decompressor) -> None:
        self._decoder = decoder

    @property
    def ended(self) -> bool:
        return self._decoder.eof

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        if self.ended:
            raise CheckFailed("something follows its end")
        try:
            yield self._decoder.decompress(chunk)
        except (OSError, zlib.error):
            raise CheckFailed("it cannot be decompressed") from None
        if self._decoder.unused_data:
            raise CheckFailed("something follows its end")


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer."""

    _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


class _Lz4:
    """Decoder of one lz4 frame."""

    def __init__(self, library: ctypes.CDLL, context: ctypes.c_void_p) -> None:
        self._library, self._context, self.ended = library, context, False
        self._out = ctypes.create_string_buffer(CHUNK)

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        source, position, full = ctypes.create_string_buffer(chunk, len(chunk)), 0, False
        # A full output may have more behind it, though all input is taken.
        while position < len(chunk) or full:
            if self.ended:
                raise CheckFailed("something follows its end")
            made, taken = ctypes.c_size_t(CHUNK), ctypes.c_size_t(len(chunk) - position)
            hint = self._library.LZ4F_decompress(
                self._context, self._out, ctypes.byref(made), ctypes.byref(source, position),
                ctypes.byref(taken), None,
            )  # fmt: skip
            if self._library.LZ4F_isError(hint):
                raise CheckFailed("it cannot be decompressed")
            position, full, self.ended = position + taken.value, made.value == CHUNK, hint == 0
            yield ctypes.string_at(self._out, made.value)
            full = full and not self.ended


class _Zstd:
    """Decoder of one zstd frame."""

    def __init__(self, library: ctypes.CDLL, context: int) -> None:
        self._library, self._context, self.ended = library, context, False
        self._out = ctypes.create_string_buffer(CHUNK)

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        source = ctypes.create_string_buffer(chunk, len(chunk))
        given, full = _Buffer(ctypes.addressof(source), len(chunk), 0), False
        while given.position < given.size or full:
            if self.ended:
                raise CheckFailed("something follows its end")
            made = _Buffer(ctypes.addressof(self._out), CHUNK, 0)
            hint = self._library.ZSTD_decompressStream(self._context, ctypes.byref(made), ctypes.byref(given))
            if self._library.ZSTD_isError(hint):
                raise CheckFailed("it cannot be decompressed")
            self.ended = hint == 0
            full = made.position == CHUNK and not self.ended
            yield ctypes.string_at(self._out, made.position)


@cache
def _library(name: str, package: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise Unavailable(f"{name} is not on this machine: install {package}, as pgBackRest needs") from None


@contextmanager
def _lz4() -> Iterator[_Decoder]:
    library = _library("liblz4.so.1", "liblz4-1")
    library.LZ4F_decompress.restype = ctypes.c_size_t
    library.LZ4F_isError.argtypes = [ctypes.c_size_t]
    context = ctypes.c_void_p()
    library.LZ4F_createDecompressionContext(ctypes.byref(context), _LZ4_VERSION)
    try:
        yield _Lz4(library, context)
    finally:
        library.LZ4F_freeDecompressionContext(context)


@contextmanager
def _zstd() -> Iterator[_Decoder]:
    library = _library("libzstd.so.1", "libzstd1")
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    context = library.ZSTD_createDStream()
    try:
        yield _Zstd(library, context)
    finally:
        library.ZSTD_freeDStream(context)


@contextmanager
def _gzip() -> Iterator[_Decoder]:
    yield _ByPython(zlib.decompressobj(wbits=31))


@contextmanager
def _bzip2() -> Iterator[_Decoder]:
    yield _ByPython(bz2.BZ2Decompressor())


_DECODERS: Mapping[str, Callable[[], AbstractContextManager[_Decoder]]] = {
    "lz4": _lz4,
    "zst": _zstd,
    "gz": _gzip,
    "bz2": _bzip2,
}
