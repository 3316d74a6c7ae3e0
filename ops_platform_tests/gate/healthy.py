"""Facts of a healthy installation, and ways to spoil them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops_platform.clients.alertmanager import HeldAlert
from ops_platform.gate.agent_figures import Figures
from ops_platform.gate.facts import Facts

NOW = datetime(2026, 12, 2, 10, 0, tzinfo=UTC)
SECONDS = NOW.timestamp()

TEXT = f"""\
agent_loop_healthy{{loop="archive"}} 1
agent_loop_stuck{{loop="archive"}} 0
slo_target_percentage{{service="shop",slo="checkout"}} 99.9
slo_measured_timestamp_seconds{{service="shop",slo="checkout"}} {SECONDS - 600}
slo_period_info{{service="shop",slo="checkout",window="30d"}} 1
slo_verdict{{service="shop",slo="checkout",window="30d",verdict="met"}} 1
slo_verdict{{service="shop",slo="checkout",window="30d",verdict="breached"}} 0
slo_error_budget_remaining{{service="shop",slo="checkout",window="30d"}} 80
slo_error_budget_remaining{{service="shop",slo="checkout",window="1d"}} -5
slo_target_percentage{{service="mail",slo="sent"}} 99
slo_measured_timestamp_seconds{{service="mail",slo="sent"}} {SECONDS - 600}
slo_period_info{{service="mail",slo="sent",window="7d"}} 1
slo_verdict{{service="mail",slo="sent",window="7d",verdict="met"}} 1
slo_error_budget_remaining{{service="mail",slo="sent",window="7d"}} 50
backup_rpo_target_seconds{{stanza="product"}} 900
backup_rpo_seconds{{stanza="product"}} 12
backup_rpo_known{{stanza="product"}} 1
backup_wal_gap_segments{{stanza="product"}} 0
backup_damaged_files{{stanza="product"}} 0
backup_damaged_segments{{stanza="product"}} 0
backup_incomplete_sets{{stanza="product"}} 0
backup_set_verified_timestamp_seconds{{stanza="product"}} {SECONDS - 86400}
backup_verification_due_timestamp_seconds{{stanza="product"}} {SECONDS + 3600}
dr_exercise_last_success_timestamp_seconds{{stanza="product",scenario="latest"}} {SECONDS - 86400}
dr_exercise_last_failed{{stanza="product",scenario="latest"}} 0
dr_exercise_last_success_timestamp_seconds{{stanza="product",scenario="pitr"}} {SECONDS - 86400}
dr_exercise_last_failed{{stanza="product",scenario="pitr"}} 0
gdpr_oldest_pending_seconds{{request_type="erasure"}} 60
gdpr_oldest_pending_seconds{{request_type="export"}} 0
audit_known 1
audit_verified_timestamp_seconds {SECONDS - 900}
audit_verification_findings 0
audit_tail_missing_seals 0
"""
METRICS = sorted(set(re.findall(r"^\w+", TEXT, re.MULTILINE)))


def alert(name: str = "Watchdog", state: str = "active", **labels: str) -> HeldAlert:
    return HeldAlert(
        "0",
        {"alertname": name, **labels},
        {},
        state,
        (),
        (),
        NOW - timedelta(minutes=5),
        NOW + timedelta(hours=1),
    )


def facts(text: str = TEXT) -> Facts:
    return Facts(NOW, Figures.parse(text), (alert(),), ())


def without(metric: str) -> Facts:
    return facts("".join(line for line in TEXT.splitlines(keepends=True) if not line.startswith(metric)))


def changed(sample: str, value: float) -> Facts:
    """With another value of the one sample whose line begins so."""
    lines = TEXT.splitlines()
    [place] = [number for number, line in enumerate(lines) if line.startswith(sample)]
    lines[place] = f"{lines[place].rpartition(' ')[0]} {value}"
    return facts("\n".join(lines) + "\n")


def with_alerts(*alerts: HeldAlert) -> Facts:
    return replace(facts(), alerts=(alert(), *alerts))
