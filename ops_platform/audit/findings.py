"""The result of a verification of the ledger: its findings, notes and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Finding:
    """One difference: ``where`` names a seal, an event or an object, ``what`` says what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Mark:
    """The newest seal of a verification that found nothing, and the events under all seals up to it."""

    number: int
    hash: str
    epoch: int
    to_xid: int
    events: int


@dataclass
class Verification:
    """Findings, and what was checked. No seal covers the ``unsealed`` events yet: nothing proves them.

    ``rows_by_index`` and ``rows_by_scan`` are the events that were read in the order of seals, and those
    that the table's pages hold; ``seal_rows`` the rows of ``audit_seals``. ``since``: the seal from which on
    they were compared, 0 for all.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seals: int = 0
    events: int = 0
    since: int = 0
    rows_by_index: int = 0
    rows_by_scan: int | None = None
    seal_rows: int = 0
    unsealed: int = 0
    oldest_unsealed_at: datetime | None = None
    last_sealed_at: datetime | None = None
    mark: Mark | None = None
    """Where the next verification can go on; None after findings, and before the first seal."""

    def add_finding(self, where: str, what: str) -> None:
        """Record a difference."""
        self.findings.append(Finding(where, what))

    def note(self, text: str) -> None:
        """Record something worth knowing that is not a difference; the same text only once."""
        if text not in self.notes:
            self.notes.append(text)
