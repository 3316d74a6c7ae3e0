"""Positions and segments of write-ahead log; names follow PostgreSQL's xlog_internal.h."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_LOG_BYTES = 1 << 32
SEGMENT_SIZES = tuple(1 << power for power in range(20, 31))
"""1 MiB to 1 GiB: what initdb --wal-segsize can make."""
DEFAULT_SEGMENT_SIZE = 16 << 20


def parse_lsn(text: str) -> int:
    """Convert an LSN such as ``0/3000028`` to bytes since the beginning. Raises ValueError."""
    match = _LSN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no LSN")
    return (int(match[1], 16) << 32) | int(match[2], 16)


def format_lsn(lsn: int) -> str:
    """Write a position in bytes as PostgreSQL does, for example ``0/3000028``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@dataclass(frozen=True, order=True)
class Segment:
    """One WAL segment; ``number`` counts from 0 through all logs."""

    timeline: int
    number: int


@dataclass(frozen=True)
class Geometry:
    """Names and positions for one segment size in bytes."""

    size: int = DEFAULT_SEGMENT_SIZE

    def __post_init__(self) -> None:
        if self.size not in SEGMENT_SIZES:
            raise ValueError(f"{self.size} is no size of a WAL segment")

    @property
    def per_log(self) -> int:
        """Number of segments in a log of 4 GiB."""
        return _LOG_BYTES // self.size

    def parse(self, name: str) -> Segment:
        """Read a segment's name of 24 hexadecimal digits.

        Raises ValueError for a name that no server with this segment size writes.
        """
        if _SEGMENT_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no WAL segment")
        timeline, log, part = (int(name[at : at + 8], 16) for at in (0, 8, 16))
        if part >= self.per_log or timeline == 0:
            raise ValueError(f"{name!r} is no WAL segment of {self.size} bytes")
        return Segment(timeline, log * self.per_log + part)

    def name(self, segment: Segment) -> str:
        """Write a segment's name of 24 hexadecimal digits."""
        log, part = divmod(segment.number, self.per_log)
        return f"{segment.timeline:08X}{log:08X}{part:08X}"

    def folder(self, segment: Segment) -> str:
        """Name the segment's directory (16 digits): pgBackRest keeps one for each log of a timeline."""
        return self.name(segment)[:16]

    def number_at(self, lsn: int) -> int:
        """Compute the number of the segment that holds the byte at ``lsn``."""
        return lsn // self.size

    def start(self, number: int) -> int:
        """Compute the position where the segment of this number begins."""
        return number * self.size


def infer_geometry(positions: Iterable[tuple[str, str]]) -> Geometry:
    """Infer the segment size that fits all pairs of (segment name, LSN of a byte in it).

    Where several fit (all pairs at the beginning of a log), the default if it is among them, else
    the largest. Raises ValueError when none fits.
    """
    sizes = set(SEGMENT_SIZES)
    for name, lsn_text in positions:
        lsn = parse_lsn(lsn_text)
        sizes = {size for size in sizes if _fits(size, name, lsn)}
    if not sizes:
        raise ValueError("no WAL segment size fits these names and positions")
    return Geometry(DEFAULT_SEGMENT_SIZE if DEFAULT_SEGMENT_SIZE in sizes else max(sizes))


def _fits(size: int, name: str, lsn: int) -> bool:
    try:
        number = Geometry(size).parse(name).number
    except ValueError:
        return False
    return number == lsn // size
