"""The controller by the data map: who is responsible, and what Art. 13 to 15 and 30 GDPR ask them to say.

None is what the map does not say; an empty tuple is what it says there is none of.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipient:
    """Somebody beside the processors to whom data are disclosed."""

    name: str
    purpose: str


@dataclass(frozen=True)
class ThirdCountry:
    """A transfer out of the Union. ``safeguards``: the adequacy decision, the clauses (Art. 45 to 49)."""

    country: str
    recipient: str
    safeguards: str


@dataclass(frozen=True)
class AutomatedDecision:
    """A decision without a person (Art. 22): its logic, and what follows from it for the subject."""

    decision: str
    logic: str
    consequences: str


@dataclass(frozen=True)
class Controller:
    """The controller and what they state."""

    name: str
    address: str | None = None
    contact: str | None = None
    representative: str | None = None
    dpo: str | None = None
    """How to reach the data protection officer; the empty text where there is none and needs to be none."""
    supervisory_authority: str | None = None
    sources: tuple[str, ...] | None = None
    recipients: tuple[Recipient, ...] | None = None
    third_countries: tuple[ThirdCountry, ...] | None = None
    automated_decisions: tuple[AutomatedDecision, ...] | None = None
    security: tuple[str, ...] | None = None
