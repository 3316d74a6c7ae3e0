"""schemathesis over /openapi.json: no 5xx, no undocumented status, answers of the documented shape."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.specs.openapi import checks as conformance

from ops_platform.api import sessions
from ops_platform.api.app import build
from ops_platform_tests.api.house import House

pytestmark = pytest.mark.services


CHECKS = [
    checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


# On a busy machine the long one takes twice its five minutes.
@pytest.mark.parametrize(
    "examples", [4, pytest.param(100, marks=[pytest.mark.full, pytest.mark.timeout(900)])]
)
def test_any_request_gets_a_documented_answer(
    api: House, examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "ANSWER_SECONDS", 0.0)
    api.unlimited()
    bearer = api.bearer(api.person())
    schema = schemathesis.openapi.from_asgi("/openapi.json", build(api.service))
    seen = set()
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        for headers in ({}, bearer):
            for mode in MODES:
                seen |= {(operation.label, status) for status in statuses(operation, mode, headers, examples)}
    assert ("POST /api/gdpr/request", 202) in seen
    assert ("POST /api/gdpr/request", 422) in seen
    assert ("GET /api/gdpr/requests", 401) in seen


def statuses(operation: Any, mode: Any, headers: dict[str, str], examples: int) -> set[int]:
    """The statuses that generated requests got, each answer checked."""
    seen = set()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        answer = case.call(headers=headers)
        case.validate_response(answer, checks=CHECKS)
        seen.add(answer.status_code)

    try:
        one()
    except Unsatisfiable:
        assert mode == MODES[1], "an operation without parts has no wrong request"
    return seen
