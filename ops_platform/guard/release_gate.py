"""The gate behind the guard: its decision by GET for whoever may look, by POST on record and as a status."""

from __future__ import annotations

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ops_platform.errors import ConfigurationError
from ops_platform.gate import GateAnswers, Verdict
from ops_platform.guard import boundary, document
from ops_platform.guard.identity import Caller
from ops_platform.guard.refusal import Refusal

PATH = "/guard/gate"
BODY_BYTES = 65_536
STATUS: dict[Verdict, HTTPStatus] = {
    "allow": HTTPStatus.OK,
    "deny": HTTPStatus.FORBIDDEN,
    "undecided": HTTPStatus.CONFLICT,
}
"""Answers to POST: a webhook lets the release go on for 2xx only."""


async def answer(request: Request, caller: Caller, gate: GateAnswers) -> Response:
    """Answer with the decision about the service that is named.

    GET: ``?service=NAME``; always 200. POST: the same, or ``metadata.service`` of Flagger's body; and
    on record, under the caller's name. Raises Refusal.
    """
    if request.method not in ("GET", "POST"):
        raise Refusal(405, "method", "The gate takes GET and POST.")
    service = request.query_params.get("service") or None
    if request.method == "POST":
        service = service or _named(await boundary.body(request, BODY_BYTES))
    try:
        decision = await run_in_threadpool(gate.decide, service)
    except ConfigurationError as error:
        raise Refusal(500, "malformed", f"The policy is wrong: {error}") from None
    if request.method == "POST":
        decision = await run_in_threadpool(gate.record, decision, caller.identity.actor)
    status = STATUS[decision.verdict] if request.method == "POST" else HTTPStatus.OK
    return JSONResponse(decision.as_json(), status, {"Cache-Control": "no-store"})


def _named(body: bytes) -> str | None:
    if not body:
        return None
    sent = document.read_json(body)
    metadata = sent.get("metadata") if isinstance(sent, dict) else None
    name = metadata.get("service") if isinstance(metadata, dict) else None
    if name is not None and not isinstance(name, str):
        raise Refusal(400, "malformed", "metadata.service is a name.")
    return name or None
