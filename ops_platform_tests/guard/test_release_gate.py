"""The gate behind the guard: who may ask, what the answers are, and the shipped files that ask."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml

from ops_platform.gate import Decision, GateAnswers, Policy, decide
from ops_platform.gate.facts import Unknown
from ops_platform.guard.app import Guard
from ops_platform_tests.gate.healthy import changed, facts
from ops_platform_tests.guard.house import HERE, TOKENS, House, bearer, refused, sign_in

DEPLOY = Path(__file__).parents[2] / "deploy" / "gate"
VERDICTS = {
    "allow": facts(),
    "deny": changed("backup_rpo_seconds", 901),
    "undecided": replace(facts(), alerts=Unknown("away")),
}


class Answers:
    """In the place of the installation's sources; notes what is put on record."""

    def __init__(self, verdict: str) -> None:
        self.verdict = verdict
        self.recorded: list[tuple[str | None, str]] = []

    def decide(self, service: str | None) -> Decision:
        return decide(VERDICTS[self.verdict], Policy(), service)

    def record(self, decision: Decision, actor: str) -> Decision:
        self.recorded.append((decision.service, actor))
        return decision


def visit(
    house: House, verdict: str, steps: Callable[[httpx.AsyncClient], Awaitable[None]]
) -> list[tuple[str | None, str]]:
    answers = Answers(verdict)

    async def inside(client: httpx.AsyncClient, guard: Guard) -> None:
        guard.parts = replace(guard.parts, gate=cast("GateAnswers", answers))
        await steps(client)

    house.run(inside)
    return answers.recorded


@pytest.mark.parametrize(("verdict", "status"), [("allow", 200), ("deny", 403), ("undecided", 409)])
def test_get_tells_and_post_is_the_status_and_on_record(house: House, verdict: str, status: int) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        told = await client.get("/guard/gate?service=shop", headers=bearer("looker"))
        assert (told.status_code, told.json()["verdict"], told.json()["service"]) == (200, verdict, "shop")
        assert told.headers["cache-control"] == "no-store"
        asked = await client.post("/guard/gate?service=shop", headers=bearer("looker"))
        assert (asked.status_code, asked.json()["verdict"]) == (status, verdict)
        hook = {"name": "shop", "namespace": "test", "phase": "Progressing", "metadata": {"service": "shop"}}
        posted = await client.post("/guard/gate", json=hook, headers=bearer())
        assert posted.status_code == status

    assert visit(house, verdict, steps) == [("shop", "program:looker"), ("shop", "program:console")]


def test_strangers_and_other_methods_are_refused(house: House) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        assert await refused(client.get("/guard/gate")) == "signed-out"
        assert await refused(client.post("/guard/gate")) == "signed-out"
        assert await refused(client.put("/guard/gate", headers=bearer())) == "method"
        wrong = client.post("/guard/gate", json={"metadata": {"service": 1}}, headers=bearer())
        assert await refused(wrong) == "malformed"
        assert await refused(client.post("/guard/gate", content=b"{", headers=bearer())) == "malformed"
        await sign_in(client, "ada")
        # A page elsewhere cannot put decisions on record through somebody's browser.
        elsewhere = {"origin": "https://evil.example"}
        assert await refused(client.post("/guard/gate", headers=elsewhere)) == "origin"

    assert visit(house, "allow", steps) == []


def curl(line: str, service_url: str) -> httpx.Request:
    """The request of a command line of curl in a shipped file."""
    variables = {"$GATE_URL": service_url, "$GATE_TOKEN": TOKENS["looker"]}
    words = shlex.split(re.sub(r"\$GATE_\w+", lambda found: variables[found[0]], line))
    assert words[0] == "curl"
    assert "--fail-with-body" in words
    method = words[words.index("--request") + 1]
    name, value = words[words.index("--header") + 1].split(": ")
    return httpx.Request(method, words[-1], headers={name: value})


def argo_metric() -> dict[str, Any]:
    template = yaml.safe_load((DEPLOY / "argo-rollouts.yaml").read_text())
    return dict(template["spec"]["metrics"][0])


def here(url: str) -> str:
    """The same path of the guard under test."""
    return f"{HERE}/{url.split('/', 3)[3]}"


def shipped() -> dict[str, httpx.Request]:
    """Each shipped file's request for the service shop, as its program sends it."""
    argo = yaml.safe_load((DEPLOY / "argo-rollouts.yaml").read_text())["spec"]["metrics"][0]["provider"][
        "web"
    ]
    values = {"url": HERE, "service": "shop", "token": TOKENS["looker"]}

    def filled(text: str) -> str:
        return re.sub(r"\{\{args\.(\w+)\}\}", lambda found: values[found[1]], text)

    headers = {header["key"]: filled(header["value"]) for header in argo["headers"]}
    flagger = yaml.safe_load((DEPLOY / "flagger.yaml").read_text())["spec"]["analysis"]["webhooks"][0]
    hook = {"name": "shop", "namespace": "test", "phase": "Waiting", "metadata": flagger["metadata"]}
    github = yaml.safe_load((DEPLOY / "github-workflow.yml").read_text())["jobs"]["gate"]["steps"][0]["run"]
    gitlab = yaml.safe_load((DEPLOY / "gitlab-ci.yml").read_text())["gate"]["script"][0]
    stage: dict[str, Any] = json.loads((DEPLOY / "spinnaker-stage.json").read_text())
    return {
        "argo": httpx.Request("GET", filled(argo["url"]), headers=headers),
        "flagger": httpx.Request(
            "POST", HERE + "/" + flagger["url"].split("/", 3)[3], json=hook, headers=bearer("looker")
        ),
        "github": curl(github, HERE),
        "gitlab": curl(gitlab, HERE),
        "spinnaker": httpx.Request(stage["method"], here(stage["url"]), headers=bearer("looker")),
    }


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("program", ["argo", "flagger", "github", "gitlab", "spinnaker"])
def test_each_shipped_file_asks_and_understands(house: House, program: str, verdict: str) -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        answer = await client.send(shipped()[program])
        if program == "argo":
            metric = argo_metric()
            assert metric["provider"]["web"]["jsonPath"] == "{$.verdict}"
            result = answer.json()["verdict"]
            outcomes = {
                name: result == json.loads(metric[name].removeprefix("result == "))
                for name in ("successCondition", "failureCondition")
            }
            assert outcomes == {
                "successCondition": verdict == "allow",
                "failureCondition": verdict == "deny",
            }
        else:
            assert answer.is_success == (verdict == "allow")
        if program == "spinnaker":
            stage = json.loads((DEPLOY / "spinnaker-stage.json").read_text())
            assert (answer.status_code in stage["failFastStatusCodes"]) == (verdict != "allow")

    recorded = visit(house, verdict, steps)
    assert recorded == ([] if program == "argo" else [("shop", "program:looker")])
