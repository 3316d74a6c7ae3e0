"""What a verification needs to know of the ledger's rows, wherever they are."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any, Protocol

from ops_platform.audit.encoding import Leaf


class LedgerSource(Protocol):
    """The rows of ``audit_events`` and ``audit_seals`` at one moment."""

    @property
    def taken_at(self) -> datetime | None:
        """Time of an export, after which nothing is known; None where that is now."""

    def final(self) -> int | None:
        """Return the lowest transaction id that had not ended; None when it is not known."""

    def next_xid(self) -> int | None:
        """Return the lowest transaction id that had not been given; None when it is not known."""

    def openings(self) -> Iterator[tuple[str, str]]:
        """Yield document and signature of each seal that opens an epoch, by number."""

    def seals(self, after: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of ``audit_seals`` with greater numbers than ``after``, by number."""

    def leaves(self, epoch: int, xid: int) -> Generator[Leaf, None, None]:
        """Yield the events from this place on, by epoch, transaction id and id."""

    def scanned(self, epoch: int, xid: int) -> tuple[int, int] | None:
        """Count the events before this place and from it on, by another way; None where there is none."""
