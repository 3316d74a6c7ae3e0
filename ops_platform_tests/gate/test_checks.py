"""Each check can deny by itself, and nothing that is not known allows."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from ops_platform.errors import Unavailable
from ops_platform.gate import CHECKS, Freeze, Policy, decide
from ops_platform.gate.agent_figures import Figures
from ops_platform.gate.facts import Facts, Unknown
from ops_platform_tests.gate.healthy import (
    METRICS,
    NOW,
    SECONDS,
    TEXT,
    alert,
    changed,
    facts,
    with_alerts,
    without,
)

DENIED = {
    "budgets": [
        changed('slo_error_budget_remaining{service="shop",slo="checkout",window="30d"', 9.9),
        facts(
            TEXT.replace('verdict="met"} 1', 'verdict="met"} 0').replace(
                'verdict="breached"} 0', 'verdict="breached"} 1'
            )
        ),
    ],
    "alerts": [
        with_alerts(alert("BackupFailed", severity="critical", stanza="product")),
        with_alerts(alert("SloBurn", severity="critical", service="shop", slo="checkout")),
        with_alerts(alert("Waits", "unprocessed", severity="critical")),
    ],
    "recovery_point": [
        changed("backup_rpo_seconds", 901),
        changed("backup_wal_gap_segments", 1),
    ],
    "proven_sets": [
        changed("backup_damaged_files", 1),
        changed("backup_damaged_segments", 2),
        changed("backup_incomplete_sets", 1),
        changed("backup_verification_due", SECONDS - 1),
    ],
    "exercises": [
        changed('dr_exercise_last_failed{stanza="product",scenario="pitr"', 1),
        changed(
            'dr_exercise_last_success_timestamp_seconds{stanza="product",scenario="latest"',
            SECONDS - 36 * 86400,
        ),
    ],
    "requests": [changed('gdpr_oldest_pending_seconds{request_type="export"', 61 * 3600)],
    "ledger": [changed("audit_verification_findings", 1), changed("audit_tail_missing_seals", 1)],
    "migrations": [replace(facts(), pending_migrations=("0040_x",))],
}
UNDECIDED = {
    "agent": [
        changed("agent_loop_healthy", 0),
        changed("agent_loop_stuck", 1),
        replace(facts(), figures=Unknown("away")),
        facts("up 1\n"),
    ],
    "budgets": [
        changed('slo_measured_timestamp_seconds{service="shop"', SECONDS - 4 * 3600),
        facts(
            TEXT.replace(
                'slo_error_budget_remaining{service="shop",slo="checkout",window="30d"} 80',
                'slo_error_budget_remaining{service="shop",slo="checkout",window="30d",bound="least"} -3\n'
                'slo_error_budget_remaining{service="shop",slo="checkout",window="30d",bound="most"} 60',
            )
        ),
        facts(TEXT.replace('verdict="met"} 1', 'verdict="undecided"} 1')),
    ],
    "alerts": [replace(facts(), alerts=()), replace(facts(), alerts=Unknown("away"))],
    "recovery_point": [changed("backup_rpo_known", 0)],
    "ledger": [changed("audit_verified_timestamp_seconds", SECONDS - 4 * 3600), changed("audit_known", 0)],
    "migrations": [replace(facts(), pending_migrations=Unknown("away"))],
}


def cases(spoiled: dict[str, list[Facts]]) -> list[tuple[str, Facts]]:
    return [(check, one) for check, ones in spoiled.items() for one in ones]


def verdicts(spoiled: Facts, policy: Policy | None = None, service: str | None = None) -> dict[str, str]:
    return {reason.check: reason.verdict for reason in decide(spoiled, policy or Policy(), service).reasons}


def test_a_healthy_installation_allows() -> None:
    decision = decide(facts(), Policy())
    assert {reason.check: reason.verdict for reason in decision.reasons} == dict.fromkeys(CHECKS, "allow")
    assert (decision.verdict, decision.exit_code) == ("allow", 0)
    ages = {reason.check: reason.age_seconds for reason in decision.reasons}
    assert ages["recovery_point"] == 12
    assert ages["exercises"] == 86400


@pytest.mark.parametrize(("check", "spoiled"), cases(DENIED))
def test_each_check_denies_by_itself(check: str, spoiled: Facts) -> None:
    decision = decide(spoiled, Policy())
    assert [reason.check for reason in decision.reasons if reason.verdict == "deny"] == [check]
    assert (decision.verdict, decision.exit_code) == ("deny", 1)
    # Where it is not asked about, it denies nothing.
    others = tuple(name for name in CHECKS if name != check)
    assert decide(spoiled, Policy(checks=others)).verdict == "allow"


@pytest.mark.parametrize(("check", "spoiled"), cases(UNDECIDED))
def test_what_is_not_known_is_undecided(check: str, spoiled: Facts) -> None:
    decision = decide(spoiled, Policy())
    assert verdicts(spoiled)[check] == "undecided"
    assert (decision.verdict, decision.exit_code) == ("undecided", 3)


@pytest.mark.parametrize("metric", METRICS)
def test_no_missing_figure_allows(metric: str) -> None:
    assert decide(without(metric), Policy()).verdict == "undecided"


def test_every_check_denies_or_is_undecided_somewhere() -> None:
    assert {*DENIED, *UNDECIDED, "freeze"} == set(CHECKS)
    # What the cases above spoil is what the checks read.
    for metric in METRICS:
        assert re.search(rf"\b{metric}\b", TEXT)


def test_a_denial_outweighs_what_is_not_known() -> None:
    spoiled = replace(changed("backup_rpo_seconds", 901), alerts=Unknown("away"))
    decision = decide(spoiled, Policy())
    assert decision.verdict == "deny"
    assert verdicts(spoiled)["alerts"] == "undecided"


def test_a_service_answers_for_itself_and_for_the_platform() -> None:
    spoiled = changed('slo_error_budget_remaining{service="mail"', 1)
    assert decide(spoiled, Policy(), "shop").verdict == "allow"
    assert decide(spoiled, Policy(), "mail").verdict == "deny"
    burning = with_alerts(alert("SloBurn", severity="critical", service="mail", slo="sent"))
    assert decide(burning, Policy(), "shop").verdict == "allow"
    assert decide(burning, Policy(), "mail").verdict == "deny"
    platform = with_alerts(alert("DatabaseDown", severity="critical", service="postgresql"))
    assert decide(platform, Policy(), "shop").verdict == "deny"
    assert decide(facts(), Policy(), "nobody").verdict == "undecided"


def test_alerts_that_are_silenced_or_of_other_severities_deny_nothing() -> None:
    assert decide(with_alerts(alert("A", "suppressed", severity="critical")), Policy()).verdict == "allow"
    assert decide(with_alerts(alert("A", severity="warning")), Policy()).verdict == "allow"
    strict = Policy(severities=("critical", "warning"))
    assert decide(with_alerts(alert("A", severity="warning")), strict).verdict == "deny"
    lenient = Policy(ignored_alerts=("Watchdog", "A"))
    assert decide(with_alerts(alert("A", severity="critical")), lenient).verdict == "allow"


def test_a_stanza_that_is_named_and_not_reported_is_undecided() -> None:
    assert verdicts(facts(), Policy(stanzas=("other",)))["recovery_point"] == "undecided"


def test_a_freeze_denies_within_its_time_only() -> None:
    window = Freeze(because="holidays", begins=NOW, ends=NOW + timedelta(hours=1))
    frozen = Policy(freezes=(window,))
    assert verdicts(facts(), frozen)["freeze"] == "deny"
    assert verdicts(replace(facts(), now=NOW - timedelta(seconds=1)), frozen)["freeze"] == "allow"
    assert verdicts(replace(facts(), now=NOW + timedelta(hours=1)), frozen)["freeze"] == "allow"
    others = Policy(freezes=(window.model_copy(update={"services": ("mail",)}),))
    assert verdicts(facts(), others, "shop")["freeze"] == "allow"
    assert verdicts(facts(), others, "mail")["freeze"] == "deny"
    assert verdicts(facts(), others)["freeze"] == "deny"


def test_a_reason_names_five_findings_and_counts_the_rest() -> None:
    many = with_alerts(*(alert(f"A{number}", severity="critical") for number in range(8)))
    [reason] = [reason for reason in decide(many, Policy()).reasons if reason.check == "alerts"]
    assert reason.text.count("fires since") == 5
    assert reason.text.endswith("; and 3 more")


@pytest.mark.parametrize("text", ["<html>", 'a{b="c} 1', "x notanumber"])
def test_text_that_is_no_metrics_is_refused(text: str) -> None:
    with pytest.raises(Unavailable, match="OPS_METRICS_URL"):
        Figures.parse(text + "\n")
