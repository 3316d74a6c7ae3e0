"""Findings of one check, from which its reason follows: the worst counts."""

from __future__ import annotations

from ops_platform.gate.decision import Reason, Verdict

SHOWN = 5
"""Findings that a reason names; how many more there are it says."""


class Findings:
    """What one check found; without any finding its subject is as it should be."""

    def __init__(self, check: str) -> None:
        self.check = check
        self._found: list[tuple[Verdict, str]] = []

    def add(self, verdict: Verdict, text: str) -> None:
        """Note a finding; one that allows is not shown."""
        if verdict != "allow":
            self._found.append((verdict, text))

    def unknown(self, why: str) -> Reason:
        """Make the reason of a check that could not be made."""
        return Reason(self.check, "undecided", why)

    def reason_or_unknown(self, why: str) -> Reason:
        """Make the reason of what was found; of a check that could not be made whole, where nothing was."""
        self.add("undecided", why)
        return self.reason("", None)

    def reason(self, good: str, age_seconds: float | None) -> Reason:
        """Make the reason: denials first, then what is not known; ``good`` where nothing was found."""
        if not self._found:
            return Reason(self.check, "allow", good, age_seconds)
        worst: Verdict = "deny" if any(verdict == "deny" for verdict, _ in self._found) else "undecided"
        texts = [text for verdict, text in sorted(self._found, key=lambda found: found[0] != "deny")]
        more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
        return Reason(self.check, worst, "; ".join(texts[:SHOWN]) + more, age_seconds)
