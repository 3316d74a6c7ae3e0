"""Requests that must not get through, each with a twin that must: what is read is what is sent on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import parse

from ops_platform.guard.accounts import Identity
from ops_platform.guard.change import ACTOR_TAG, REASON_TAG, read_change
from ops_platform.guard.document import Request, read_body, read_payload
from ops_platform.guard.refusal import Refusal

JSON = "application/json"
ADMIN, OPERATOR, VIEWER = (
    Identity("person:ada", "admin"),
    Identity("person:otto", "operator"),
    Identity("person:vera", "viewer"),
)
PARAMS = {
    "selector": {"jobName": "backup_full", "repositoryName": "r", "repositoryLocationName": "l"},
    "runConfigData": {"stanza": "product"},
}
LAUNCH = "mutation Go($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"


def body(query: str = "{ version }", **more: Any) -> bytes:
    return json.dumps({"query": query, **more}).encode()


def code(content_type: str | None, content: bytes) -> str:
    """How a body is refused; what it asks for when it is not."""
    try:
        request = read_body(content_type, content)
        if request.change is None:
            return "query"
        return read_change(request, OPERATOR).name
    except Refusal as refusal:
        return refusal.code


@pytest.mark.parametrize(
    ("bad", "refused", "healthy", "read"),
    [
        # --- the body itself
        (("text/plain", body()), "content-type", (JSON, body()), "query"),
        ((None, body()), "content-type", ("application/json; charset=utf-8", body()), "query"),
        (("application/json; charset=utf-16", body()), "content-type", ("Application/JSON", body()), "query"),
        (
            ("text/x, application/json", body()),
            "content-type",
            ('application/json;charset="UTF-8"', body()),
            "query",
        ),
        (("application/graphql", b"{ version }"), "content-type", (JSON, body()), "query"),
        ((JSON, b"{ version }"), "malformed", (JSON, body(operationName=None)), "query"),
        ((JSON, b'\xff{"query": "{ version }"}'), "malformed", (JSON, body("{ v: version }")), "query"),
        ((JSON, b"[" + body() + b"]"), "malformed", (JSON, body(variables={})), "query"),
        (
            (JSON, b'{"query": "{ version }", "query": "mutation { setNuxSeen }"}'),
            "malformed",
            (JSON, body("mutation { setNuxSeen }")),
            "setNuxSeen",
        ),
        (
            (JSON, b'{"query": "{ version }", "variables": {"a": 1, "a": 2}}'),
            "malformed",
            (JSON, body(variables={"a": [{"b": 1}, {"b": 2}]})),
            "query",
        ),
        (
            (JSON, b'{"query": "{ version }", "variables": {"a": NaN}}'),
            "malformed",
            (JSON, body(variables={"a": None})),
            "query",
        ),
        ((JSON, b"[" * 100_000), "malformed", (JSON, body()), "query"),
        # --- the request
        ((JSON, b'{"id": "abc"}'), "malformed", (JSON, body()), "query"),
        (
            (JSON, b'{"extensions": {"persistedQuery": {"sha256Hash": "00"}}}'),
            "malformed",
            (JSON, body(extensions={})),
            "query",
        ),
        (
            (JSON, body(extensions={"persistedQuery": {}})),
            "malformed",
            (JSON, body(extensions=None)),
            "query",
        ),
        ((JSON, body(variables='{"a": 1}')), "malformed", (JSON, body(variables={"a": 1})), "query"),
        (
            (JSON, body(operationName=["A"])),
            "malformed",
            (JSON, body("query A { version }", operationName="A")),
            "query",
        ),
        (
            (JSON, body("query A { version }", operationName="B")),
            "malformed",
            (JSON, body("query A { version } query B { version }", operationName="B")),
            "query",
        ),
        (
            (JSON, body("query A { version } query A { version }", operationName="A")),
            "malformed",
            (JSON, body("query A { version } query B { version }", operationName="A")),
            "query",
        ),
        (
            (JSON, body("query A { version } query B { version }")),
            "malformed",
            (JSON, body("query A { version }")),
            "query",
        ),
        # --- the document
        (
            (JSON, body("type A { b: Int }")),
            "malformed",
            (JSON, body("{ __schema { types { name } } }")),
            "query",
        ),
        (
            (JSON, body("{ version } type A { b: Int }")),
            "malformed",
            (JSON, body("{ version } # type")),
            "query",
        ),
        (
            (JSON, body("fragment F on Query { version }")),
            "malformed",
            (JSON, body("{ ...F } fragment F on Query { version }")),
            "query",
        ),
        (
            (JSON, body("{ ...F } fragment F on Query { ...F }")),
            "malformed",
            (JSON, body("{ ...F } fragment F on Query { ...G } fragment G on Query { version }")),
            "query",
        ),
        ((JSON, body("{ ...F }")), "malformed", (JSON, body("{ ... on Query { version } }")), "query"),
        (
            (JSON, body("{ ...F } fragment F on Query { version } fragment F on Query { version }")),
            "malformed",
            (JSON, body("{ ...F } fragment F on Query { version }")),
            "query",
        ),
        (
            (JSON, body("{" + "a{" * 5000 + "b" + "}" * 5001)),
            "malformed",
            (JSON, body("{" + "a{" * 40 + "b" + "}" * 41)),
            "query",
        ),
        (
            (JSON, body("{ " + "a " * 30_000 + "}")),
            "malformed",
            (JSON, body("{ " + "a " * 3_000 + "}")),
            "query",
        ),
        # --- mutations behind something else
        (
            (
                JSON,
                body(
                    "query Q { version } mutation M { wipeAssets(assetPartitionRanges: []) { __typename } }",
                    operationName="Q",
                ),
            ),
            "several-changes",
            (JSON, body("query Q { version }", operationName="Q")),
            "query",
        ),
        (
            (JSON, body("mutation { a: setNuxSeen b: deleteRun(runId: 1) { __typename } }")),
            "several-changes",
            (JSON, body("mutation { a: setNuxSeen }")),
            "setNuxSeen",
        ),
        (
            (JSON, body("mutation { version: deleteRun(runId: 1) { __typename } }")),
            "role",
            (JSON, body("mutation { version: terminateRun(runId: 1) { __typename } }")),
            "terminateRun",
        ),
        (
            (
                JSON,
                body("mutation { ... on Mutation { ...F } } fragment F on M { deleteRun(runId: 1) { x } }"),
            ),
            "role",
            (JSON, body("mutation { ...F } fragment F on Mutation { reloadWorkspace { __typename } }")),
            "reloadWorkspace",
        ),
        (
            (
                JSON,
                body("mutation { setNuxSeen ...F @skip(if: true) } fragment F on M { deleteRun { x } }"),
            ),
            "several-changes",
            (JSON, body("mutation { setNuxSeen @skip(if: false) }")),
            "setNuxSeen",
        ),
        (
            (JSON, body("mutation { launchRun_ }")),
            "unknown-mutation",
            (JSON, body(LAUNCH, variables={"p": PARAMS}, operationName="Go")),
            "launchRun",
        ),
        (
            (JSON, body("mutation { __typename }")),
            "unknown-mutation",
            (JSON, body("{ __typename }")),
            "query",
        ),
        (
            (
                JSON,
                body('mutation { deleteAppManagedComponent(componentId: "a", locationName: "b") { x } }'),
            ),
            "unknown-mutation",
            (JSON, body("mutation { startSchedule(scheduleSelector: {}) { x } }")),
            "startSchedule",
        ),
    ],
)
def test_a_bad_request_is_refused_and_its_twin_is_not(
    bad: tuple[str | None, bytes], refused: str, healthy: tuple[str | None, bytes], read: str
) -> None:
    assert code(*bad) == refused
    assert code(*healthy) == read


def test_each_mutation_takes_its_role() -> None:
    for query, least in (
        (
            'mutation { logTelemetry(action: "a", clientId: "b", clientTime: "1", metadata: "") { x } }',
            VIEWER,
        ),
        ("mutation { terminateRun(runId: 1) { x } }", OPERATOR),
        ("mutation { scheduleDryRun(selectorData: {}) { x } }", OPERATOR),
        ("mutation { wipeAssets(assetPartitionRanges: []) { x } }", ADMIN),
    ):
        request = read_payload({"query": query})
        for identity in (VIEWER, OPERATOR, ADMIN):
            if identity.may(least.role):
                assert read_change(request, identity).name == request.change
            else:
                with pytest.raises(Refusal, match=least.role):
                    read_change(request, identity)


def marked(query: str, **variables: Any) -> Request:
    request = read_payload({"query": query, "variables": variables})
    return read_change(request, OPERATOR).marked("person:otto", "ticket 7").with_typename()


def tags_of(request: Request) -> dict[str, str]:
    found: list[dict[str, str]] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if set(value) == {"key", "value"}:
                found.append(value)
            for one in value.values():
                look(one)
        elif isinstance(value, list):
            for one in value:
                look(one)

    look(dict(request.variables))
    assert len({tag["key"] for tag in found}) == len(found), "each tag once"
    return {tag["key"]: tag["value"] for tag in found}


FORGED = [
    {"key": ACTOR_TAG, "value": "person:somebody-else"},
    {"key": REASON_TAG, "value": "an old one"},
    {"key": "team", "value": "a"},
]
STAMPED = {ACTOR_TAG: "person:otto", REASON_TAG: "ticket 7"}
SELECTOR = '{jobName: "backup_full", repositoryName: "r", repositoryLocationName: "l"}'
FORGED_TEXT = '{key: "ops-platform/actor", value: "x"}'


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (LAUNCH, {"p": {**PARAMS, "executionMetadata": {"tags": FORGED}}}),
        (LAUNCH, {"p": PARAMS}),
        (
            "mutation ($t: [ExecutionTag!]) { launchRun(executionParams: {selector: "
            + SELECTOR
            + ", executionMetadata: "
            "{tags: $t}}) { __typename } }",
            {"t": FORGED},
        ),
        (
            "mutation { launchRun(executionParams: {selector: "
            + SELECTOR
            + ", executionMetadata: {tags: ["
            + FORGED_TEXT
            + "]}}) { run { runId } } }",
            {},
        ),
        (
            "mutation ($p: ExecutionParams = {selector: "
            + SELECTOR
            + ", executionMetadata: {tags: ["
            + FORGED_TEXT
            + "]}}) { launchPipelineExecution(executionParams: $p) { __typename } }",
            {},
        ),
        (
            "mutation ($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) { x } }",
            {"p": {"parentRunId": "1", "strategy": "ALL_STEPS", "extraTags": FORGED}},
        ),
        (
            'mutation { launchRunReexecution(reexecutionParams: {parentRunId: "1", strategy: A}) { x } }',
            {},
        ),
        (
            "mutation ($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { x } }",
            {"p": {"partitionNames": ["a"], "tags": FORGED}},
        ),
        (
            "mutation ($l: [ExecutionParams!]!) { launchMultipleRuns(executionParamsList: $l) { x } }",
            {"l": [{**PARAMS, "executionMetadata": {"tags": FORGED}}]},
        ),
    ],
)
def test_a_run_carries_who_and_why_whatever_the_client_said(query: str, variables: dict[str, Any]) -> None:
    request = marked(query, **variables)
    tags = tags_of(request)
    assert tags.items() >= STAMPED.items()
    assert set(tags) <= {*STAMPED, "team"}
    sent = request.payload()
    assert "ops-platform" not in sent["query"], "no literal is left beside"
    # What is sent is a document in which the gate finds the same.
    again = read_payload({**sent, "query": sent["query"]})
    assert again.change == request.change
    assert parse(sent["query"])


def test_the_rest_of_a_launch_stays_as_it_was() -> None:
    request = marked(LAUNCH, p={**PARAMS, "stepKeys": ["a"], "mode": "default"})
    [params] = request.variables.values()
    assert params["selector"] == PARAMS["selector"]
    assert params["runConfigData"] == PARAMS["runConfigData"]
    assert params["stepKeys"] == ["a"]
    assert marked(LAUNCH, p=PARAMS).answer_key == "launchRun"


def test_a_query_is_sent_on_as_it_came() -> None:
    text = "query A($a: Int) { version @include(if: $a) }"
    request = read_payload({"query": text, "variables": {"a": 1}, "operationName": "A"})
    assert json.loads(request.body()) == {"query": text, "variables": {"a": 1}, "operationName": "A"}


@pytest.mark.parametrize(
    ("query", "variables", "needed"),
    [
        (LAUNCH, {"p": PARAMS}, True),
        (LAUNCH, {"p": {"selector": {"jobName": "gdpr_erasure"}}}, True),
        (LAUNCH, {"p": {"selector": {"jobName": "a_new_job"}}}, True),
        (LAUNCH, {"p": {"selector": {}}}, True),
        (LAUNCH, {"p": {"selector": {"jobName": "slo_windows"}}}, False),
        (
            LAUNCH,
            {"p": {"selector": {"jobName": "__ASSET_JOB", "assetSelection": [{"path": ["slo", "x"]}]}}},
            False,
        ),
        (
            LAUNCH,
            {
                "p": {
                    "selector": {
                        "jobName": "__ASSET_JOB",
                        "assetSelection": [{"path": ["slo", "x"]}, {"path": ["dr", "x"]}],
                    }
                }
            },
            True,
        ),
        ("mutation { terminateRun(runId: 1) { x } }", {}, True),
        ("mutation { reloadWorkspace { x } }", {}, False),
        ('mutation { scheduleDryRun(selectorData: {scheduleName: "backup_full_weekly"}) { x } }', {}, False),
        (
            'mutation { startSchedule(scheduleSelector: {scheduleName: "slo_windows_hourly"}) { x } }',
            {},
            False,
        ),
        (
            'mutation { startSchedule(scheduleSelector: {scheduleName: "dr_exercise_monthly"}) { x } }',
            {},
            True,
        ),
        ('mutation { stopRunningSchedule(scheduleOriginId: "abc") { x } }', {}, True),
        ('mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["slo", "x"]}}]) { x } }', {}, True),
    ],
)
def test_what_is_not_known_to_only_count_takes_a_reason(
    query: str, variables: dict[str, Any], needed: bool
) -> None:
    assert read_change(read_payload({"query": query, "variables": variables}), ADMIN).needs_reason is needed


def test_a_launch_may_bring_its_reason_and_a_replay_may_not() -> None:
    reason = [{"key": REASON_TAG, "value": " before\nthe\u202e upgrade "}]
    launch = {"p": {**PARAMS, "executionMetadata": {"tags": reason}}}
    given = read_change(read_payload({"query": LAUNCH, "variables": launch}), OPERATOR).given_reason()
    assert given == "before the upgrade"
    replay = "mutation ($p: ExecutionParams) { launchRunReexecution(executionParams: $p) { x } }"
    assert read_change(read_payload({"query": replay, "variables": launch}), OPERATOR).given_reason() is None
    short = {"p": {**PARAMS, "executionMetadata": {"tags": [{"key": REASON_TAG, "value": "..."}]}}}
    assert read_change(read_payload({"query": LAUNCH, "variables": short}), OPERATOR).given_reason() is None
