"""Checks of the platform: the product could be brought back, people's rights are kept, the ledger holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops_platform.gate.agent_figures import Figures
from ops_platform.gate.decision import Reason
from ops_platform.gate.facts import Facts, Unknown
from ops_platform.gate.findings import Findings
from ops_platform.gate.policy import Policy

HOUR, DAY = 3600.0, 86400.0
NO_STANZA = "the agent reports no stanza"


def agent(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Judge whether the agent, whose figures the others rest on, works: all its loops succeed."""
    found = Findings("agent")
    if isinstance(facts.figures, Unknown):
        return found.unknown(facts.figures.reason)
    loops = {labels["loop"]: value for labels, value in facts.figures.each("agent_loop_healthy")}
    if not loops:
        return found.unknown("the agent reports no loops: is OPS_METRICS_URL the agent's?")
    for loop, healthy in loops.items():
        if healthy != 1:
            found.add("undecided", f"the agent's loop {loop} fails")
        if facts.figures.one("agent_loop_stuck", loop=loop) != 0:
            found.add("undecided", f"the agent's loop {loop} is stuck")
    return found.reason(f"the agent's {len(loops)} loops succeed", 0.0)


def recovery_point(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny while more would be lost than promised, or the archive has a gap."""
    found = Findings("recovery_point")
    if isinstance(facts.figures, Unknown):
        return found.unknown(facts.figures.reason)
    figures = facts.figures
    stanzas = _stanzas(figures, policy)
    if not stanzas:
        return found.unknown(NO_STANZA)
    worst = 0.0
    for stanza in stanzas:
        target = figures.one("backup_rpo_target_seconds", stanza=stanza)
        lost = figures.one("backup_rpo_seconds", stanza=stanza)
        if target is None or lost is None or figures.one("backup_rpo_known", stanza=stanza) != 1:
            found.add("undecided", f"{stanza}: what would be lost now is not known")
        elif lost > target:
            found.add("deny", f"{stanza}: {lost:.0f} s would be lost now, {target:.0f} s are promised")
        else:
            worst = max(worst, lost)
        gap = figures.one("backup_wal_gap_segments", stanza=stanza)
        if gap is None:
            found.add("undecided", f"{stanza}: whether WAL is missing is not known")
        elif gap:
            found.add("deny", f"{stanza}: {gap:.0f} WAL segments are missing")
    return found.reason(f"at most {worst:.0f} s would be lost now", worst)


def proven_sets(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny while sets are damaged, or a reading of stored bytes is late."""
    found = Findings("proven_sets")
    if isinstance(facts.figures, Unknown):
        return found.unknown(facts.figures.reason)
    figures, now = facts.figures, facts.now.timestamp()
    stanzas = _stanzas(figures, policy)
    if not stanzas:
        return found.unknown(NO_STANZA)
    ages = []
    for stanza in stanzas:
        for metric, what in _DAMAGE.items():
            count = figures.one(metric, stanza=stanza)
            if count is None:
                found.add("undecided", f"{stanza}: {what} are not known")
            elif count:
                found.add("deny", f"{stanza}: {count:.0f} {what}")
        proven = figures.one("backup_set_verified_timestamp_seconds", stanza=stanza)
        due = figures.one("backup_verification_due_timestamp_seconds", stanza=stanza)
        if proven is None or due is None:
            found.add("undecided", f"{stanza}: no set has been read as a whole yet")
            continue
        ages.append(now - proven)
        if due < now:
            found.add("deny", f"{stanza}: stored bytes are unread for {(now - due) / HOUR:.1f} h too long")
    return found.reason("every set was read against its checksums in time", max(ages, default=None))


_DAMAGE: Mapping[str, str] = {
    "backup_damaged_files": "damaged files",
    "backup_damaged_segments": "damaged WAL segments",
    "backup_incomplete_sets": "incomplete sets",
}


def exercises(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny when the newest exercise failed, or none succeeded within the policy's days."""
    found = Findings("exercises")
    if isinstance(facts.figures, Unknown):
        return found.unknown(facts.figures.reason)
    figures, now = facts.figures, facts.now.timestamp()
    stanzas = _stanzas(figures, policy)
    if not stanzas:
        return found.unknown(NO_STANZA)
    ages = []
    for stanza in stanzas:
        for scenario in policy.scenarios:
            which = {"stanza": stanza, "scenario": scenario}
            failed = figures.one("dr_exercise_last_failed", **which)
            if failed:
                found.add("deny", f"{stanza}: the newest exercise {scenario} failed")
            succeeded = figures.one("dr_exercise_last_success_timestamp_seconds", **which)
            if succeeded is None or failed is None:
                found.add("undecided", f"{stanza}: no exercise {scenario} has succeeded yet")
                continue
            age = now - succeeded
            ages.append(age)
            if age > policy.exercise_days * DAY:
                found.add("deny", f"{stanza}: the last good exercise {scenario} is {age / DAY:.0f} d old")
    return found.reason("recovery was exercised in time", max(ages, default=None))


def requests(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny while a data subject's request is near its deadline, or past it."""
    found = Findings("requests")
    if isinstance(facts.figures, Unknown):
        return found.unknown(facts.figures.reason)
    ages = []
    for kind in ("erasure", "export"):
        oldest = facts.figures.one("gdpr_oldest_pending_seconds", request_type=kind)
        if oldest is None:
            found.add("undecided", f"whether an {kind} waits is not known")
            continue
        ages.append(oldest)
        if oldest > policy.request_hours * HOUR:
            found.add("deny", f"an {kind} waits for {oldest / HOUR:.1f} h, 72 h are promised")
    return found.reason("no request of a data subject is near its deadline", max(ages, default=None))


def ledger(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny when the newest verification of the ledger found something; an old one leaves it undecided."""
    found = Findings("ledger")
    if isinstance(facts.figures, Unknown):
        return found.unknown(facts.figures.reason)
    figures = facts.figures
    verified = figures.one("audit_verified_timestamp_seconds")
    findings = figures.one("audit_verification_findings")
    missing = figures.one("audit_tail_missing_seals")
    if findings:
        found.add("deny", f"{findings:.0f} findings in the audit ledger: run 'ops-platform audit verify'")
    if missing:
        found.add("deny", f"{missing:.0f} seals are in the ledger's bucket and not in the database")
    if verified is None or findings is None or missing is None or figures.one("audit_known") != 1:
        return found.reason_or_unknown("the ledger was not verified yet, or its state cannot be read")
    age = facts.now.timestamp() - verified
    if age > policy.ledger_hours * HOUR:
        found.add("undecided", f"the ledger was verified {age / HOUR:.1f} h ago")
    return found.reason("the ledger was verified", age)


def migrations(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny while schema and installation differ."""
    found = Findings("migrations")
    if isinstance(facts.pending_migrations, Unknown):
        return found.unknown(facts.pending_migrations.reason)
    for name in facts.pending_migrations:
        found.add("deny", f"{name} is in one of installation and ops database only: 'ops-platform migrate'")
    return found.reason("the ops database has the installation's schema", 0.0)


def freeze(facts: Facts, policy: Policy, service: str | None) -> Reason:
    """Deny within a freeze window of the policy."""
    found = Findings("freeze")
    for window in policy.freezes:
        end = window.end(facts.now) if window.concerns(service) else None
        if end is not None:
            found.add("deny", f"frozen until {end:%Y-%m-%d %H:%M}Z: {window.because}")
    return found.reason("no freeze holds", 0.0)


def _stanzas(figures: Figures, policy: Policy) -> Sequence[str]:
    """List the stanzas that count; a named one that the agent does not report counts all the same."""
    return policy.stanzas or [labels["stanza"] for labels, _ in figures.each("backup_rpo_target_seconds")]
