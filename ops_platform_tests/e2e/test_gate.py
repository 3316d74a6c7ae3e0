"""The release gate on a running stack: the command, the guard's answer, the ledger's record, an override."""

from __future__ import annotations

import json

import httpx
import pytest

from ops_platform.gate import CHECKS
from ops_platform_tests.e2e.operator import ops_rows
from ops_platform_tests.running_stack import RunningStack

pytestmark = pytest.mark.services


def test_the_gate_says_what_is_not_proven_yet_and_a_person_may_answer_for_it(stack: RunningStack) -> None:
    asked = stack.run("gate", "--json")
    decision = json.loads(asked.stdout)
    reasons = {reason["check"]: reason for reason in decision["reasons"]}
    assert tuple(reasons) == CHECKS
    # What every stack knows at once, from its own figures.
    assert {reasons[name]["verdict"] for name in ("migrations", "freeze")} == {"allow"}
    assert asked.returncode == {"allow": 0, "deny": 1, "undecided": 3}[decision["verdict"]]

    override = [word for name in CHECKS for word in ("--check", name)]
    because = "the stack is young, nothing is released from it"
    answered = ["--by", "ada", "--because", because, "--hours", "1"]
    made = stack.run("gate", "override", "--service", "shop", *override, *answered)
    assert made.returncode == 0, made.stderr
    token = stack.settings.dagster_token
    assert token is not None
    headers = {"authorization": f"Bearer {token.get_secret_value()}"}
    url = f"{stack.settings.require('dagster_url')}/guard/gate"
    answer = httpx.post(url, params={"service": "shop"}, headers=headers, timeout=30, trust_env=False)
    assert (answer.status_code, answer.json()["verdict"]) == (200, "allow")
    overridden = [reason["check"] for reason in answer.json()["reasons"] if reason["override"]]
    # There is no such service: that alone makes the budgets undecided.
    assert "budgets" in overridden
    gate = "SELECT action, object, details FROM audit_events WHERE action LIKE 'gate.%%'"
    rows = ops_rows(stack, f"{gate} ORDER BY id DESC LIMIT 2")
    assert [(row["action"], row["object"]) for row in rows] == [
        ("gate.decision", "service/shop"),
        ("gate.override", "service/shop"),
    ]
    assert rows[0]["details"]["overridden"] == overridden
    assert stack.run("audit", "verify").returncode == 0
