"""Answers of the gate for one installation: facts a few seconds old at most, decisions on record.

Whoever asks often (a rollout asks each minute, for each service) shares one look at the sources.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from ops_platform.audit import AuditEvent, append
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import OpsError
from ops_platform.gate import override
from ops_platform.gate.deciding import decide
from ops_platform.gate.decision import Decision, Reason
from ops_platform.gate.facts import Facts, gather
from ops_platform.gate.policy import FILE, Policy, load_policy
from ops_platform.settings import Settings

SHARED_FOR = timedelta(seconds=10)
"""Age up to which facts serve further questions."""


class GateAnswers:
    """Answers about services; safe to use from several threads."""

    def __init__(self, settings: Settings, policy: Policy | None = None) -> None:
        """Judge by ``policy``, or by the configuration's own file as it is at each look."""
        self._settings = settings
        self._policy = policy
        self._lock = threading.Lock()
        self._look: tuple[Facts, Policy, list[override.Override]] | None = None

    def decide(self, service: str | None) -> Decision:
        """Decide about a service; None: about all. Raises ConfigurationError for a policy that is wrong."""
        now = datetime.now(UTC)
        with self._lock:
            if self._look is None or now - self._look[0].now > SHARED_FOR:
                self._look = self._gather(now)
            facts, policy, overrides = self._look
        # Windows and overrides end at their second, whatever the facts' age.
        return decide(replace(facts, now=now), policy, service, overrides)

    def record(self, decision: Decision, actor: str) -> Decision:
        """Write a decision into the ledger; one that cannot be written is undecided."""
        details = {
            "verdict": decision.verdict,
            "reasons": {reason.check: reason.verdict for reason in decision.reasons},
            "overridden": [reason.check for reason in decision.reasons if reason.override],
        }
        subject = f"service/{decision.service}"[:500] if decision.service else "service"
        event = AuditEvent("gate.decision", "event", str(uuid4()), subject, actor, None, details)
        try:
            with postgres.session(self._settings.require("database_url")) as ops:
                append(ops, event)
        except (OpsError, psycopg.Error) as error:
            unwritten = Reason("record", "undecided", f"the ledger has no record: {describe(error)}")
            return replace(decision, reasons=[*decision.reasons, unwritten])
        return decision

    def _gather(self, now: datetime) -> tuple[Facts, Policy, list[override.Override]]:
        policy = self._policy
        if policy is None:
            file = self._settings.config_dir / FILE
            policy = load_policy(file) if file.exists() else Policy()
        return gather(self._settings, now), policy, self._overrides()

    def _overrides(self) -> list[override.Override]:
        try:
            with postgres.session(self._settings.require("database_url")) as ops:
                return override.standing(ops)
        except (OpsError, psycopg.Error):
            # Without them nothing is overridden; that the database is away, the migrations' check says.
            return []
