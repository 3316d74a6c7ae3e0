"""A decision: the reasons in their order, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Verdict = Literal["allow", "deny", "undecided"]

EXIT_CODES: dict[Verdict, int] = {"allow": 0, "deny": 1, "undecided": 3}
"""Exit codes of ``ops-platform gate``."""


@dataclass(frozen=True)
class Reason:
    """One thing that was looked at. ``age_seconds`` is the age of what it rests on, where that has one."""

    check: str
    verdict: Verdict
    text: str
    age_seconds: float | None = None
    override: str | None = None
    """Who overrode it, and why; the verdict is then ``allow``."""

    def as_json(self) -> dict[str, Any]:
        """Make plain values; the age in whole seconds."""
        return {
            "check": self.check,
            "verdict": self.verdict,
            "text": self.text,
            "age_seconds": None if self.age_seconds is None else round(self.age_seconds),
            "override": self.override,
        }


@dataclass(frozen=True)
class Decision:
    """The answer about one service (None: all of them), and why."""

    service: str | None
    decided_at: datetime
    reasons: Sequence[Reason]

    @property
    def verdict(self) -> Verdict:
        """Follow from the reasons: one denial denies, else one that is undecided leaves it so.

        Undecided also without any reason: nothing was looked at.
        """
        verdicts = {reason.verdict for reason in self.reasons}
        if "deny" in verdicts:
            return "deny"
        return "allow" if verdicts == {"allow"} else "undecided"

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 0 allow, 1 deny, 3 undecided."""
        return EXIT_CODES[self.verdict]

    def as_json(self) -> dict[str, Any]:
        """Make plain values, as the command and the HTTP endpoints answer."""
        return {
            "verdict": self.verdict,
            "service": self.service,
            "decided_at": self.decided_at.isoformat(),
            "reasons": [reason.as_json() for reason in self.reasons],
        }
