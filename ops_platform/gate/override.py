"""An override: a person answers for a check, for a time, and says why; the ledger has it before it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from ops_platform.audit import AuditEvent, append
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.gate.policy import CHECKS

LONGEST = timedelta(days=7)
"""An override that should hold longer is a change of the policy."""
SHORTEST_REASON = 10


@dataclass(frozen=True)
class Override:
    """``checks`` of ``service`` (None: of every one) allow until ``expires_at``, on ``by``'s word."""

    service: str | None
    checks: Sequence[str]
    by: str
    because: str
    expires_at: datetime

    def holds(self, check: str, service: str | None, now: datetime) -> bool:
        """Tell whether it covers a check of a question about ``service``.

        One for a single service does not cover a question about all of them.
        """
        return check in self.checks and now < self.expires_at and self.service in (None, service)

    def said(self) -> str:
        """Word it for the reason that it covers."""
        return f"{self.by} until {self.expires_at:%Y-%m-%d %H:%M}Z: {self.because}"


def make(connection: Connection, override: Override, now: datetime) -> None:
    """Record an override, in the ledger and for the gate, in one transaction.

    Raises ConfigurationError for one that names nobody, says nothing, or holds for too long.
    """
    unknown = sorted(set(override.checks) - set(CHECKS))
    if unknown or not override.checks:
        raise ConfigurationError(f"an override names checks of the gate: some of {', '.join(CHECKS)}")
    if not override.by.strip():
        raise ConfigurationError("an override names the person who answers for it: --by NAME")
    if len(override.because.strip()) < SHORTEST_REASON:
        raise ConfigurationError(f"an override says why, in at least {SHORTEST_REASON} characters: --because")
    if not now < override.expires_at <= now + LONGEST:
        raise ConfigurationError("an override ends within seven days from now: --hours 2")
    details = {
        "checks": list(override.checks),
        "because": override.because,
        "expires_at": override.expires_at.isoformat(),
    }
    subject = f"service/{override.service}" if override.service else "service"
    event = AuditEvent(
        "gate.override", "event", str(uuid4()), subject, f"person:{override.by}", None, details
    )
    with connection.transaction():
        append(connection, event)
        connection.execute(
            "INSERT INTO public.gate_overrides (service, checks, made_by, because, expires_at) "
            "VALUES (%s, %s, %s, %s, %s)",
            (override.service, list(override.checks), override.by, override.because, override.expires_at),
        )


def standing(connection: Connection) -> list[Override]:
    """Read the overrides that have not ended."""
    return [
        Override(row["service"], row["checks"], row["made_by"], row["because"], row["expires_at"])
        for row in connection.execute(
            "SELECT service, checks, made_by, because, expires_at FROM public.gate_overrides "
            "WHERE expires_at > now() ORDER BY id"
        )
    ]
