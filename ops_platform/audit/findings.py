"""What a verification of the ledger found, and how much it looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Finding:
    """One thing that differs: ``where`` names a seal, an event or an object."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Verification:
    """What was looked at. ``unsealed`` events are newer than the last seal: nothing vouches for them yet."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seals: int = 0
    events: int = 0
    unsealed: int = 0
    oldest_unsealed_at: datetime | None = None
    last_sealed_at: datetime | None = None

    def find(self, where: str, what: str) -> None:
        self.findings.append(Finding(where, what))

    def note(self, text: str) -> None:
        """Something worth knowing that is no difference; said once."""
        if text not in self.notes:
            self.notes.append(text)
