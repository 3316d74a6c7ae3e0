"""Checks before an endpoint's own work: the subject, the rate limits, and the body."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ops_platform.api import addresses
from ops_platform.api.edge.shield import EXTRA_HEADERS, OPERATION
from ops_platform.api.problems import FieldError, Problem, unauthorized
from ops_platform.api.service import Service
from ops_platform.clients.redis import Admission
from ops_platform.gdpr.requests import sign_in
from ops_platform.gdpr.requests import token as tokens

BODY_SECONDS = 10.0
REFUSED_SESSIONS_TIMES = 20
"""An address may send so many times more sessions that are over than state-changing requests."""
M = TypeVar("M", bound=BaseModel)


def count_as(request: Request, operation: str) -> None:
    """Name the operation for the metrics."""
    request.scope["state"][OPERATION] = operation


def subject(service: Service, request: Request) -> UUID:
    """Return the subject of the bearer token or session. Raises Problem 401, Unavailable.

    To be called in a thread: the keys may have to be fetched.
    """
    token = session(request)
    if token is None:
        return service.identity.subject(request.headers.getlist("authorization"))
    address = f"refused-session/{_address(service, request)}"
    refused = replace(service.window, limit=REFUSED_SESSIONS_TIMES * service.window.limit)
    # A made-up token costs a query of the database: no more of them than this.
    _admit(refused.look([address]))
    with service.ops.reading() as connection:
        subject_id = sign_in.subject_of(connection, token, service.clock())
    if subject_id is None:
        refused.hit([address])
        raise unauthorized("The session is over. Ask for another link.", attempted=True)
    return subject_id


def same_mailbox(service: Service, request: Request) -> None:
    """Refuse a session whose link went to an address that is not the subject's any more. Raises Problem 401.

    A bearer token of the product's own passes.
    """
    token = session(request)
    if token is None:
        return
    with service.ops.reading() as connection:
        still_theirs = sign_in.is_still_theirs(connection, token, service.address_of)
    if not still_theirs:
        with service.ops.use() as connection:
            sign_in.end_session(connection, token, service.clock())
        raise unauthorized("The session is over. Ask for another link.", attempted=True)


def session(request: Request) -> str | None:
    """Return the token of a sign-in by mail among the headers; None when there is none, or a JWT."""
    headers = request.headers.getlist("authorization")
    scheme, _, token = (headers[0] if len(headers) == 1 else "").partition(" ")
    return tokens.read(token) if scheme.lower() == "bearer" else None


async def limited_subject(service: Service, request: Request, *, by_mail: bool) -> UUID:
    """Return the subject, and count the request against the limits of its address and of the subject.

    ``by_mail``: a session of a sign-in by mail is enough. A request without a valid token counts against
    the address. Raises Problem 401 or 429, Unavailable.
    """
    return await run_in_threadpool(_limited_subject, service, request, by_mail)


async def limit(service: Service, request: Request, *names: str, scope: str = "") -> None:
    """Count the request against its address and ``names``; each ``scope`` counts by itself.

    Raises Problem 429, Unavailable.
    """
    await run_in_threadpool(limit_in_thread, service, request, *names, scope=scope)


async def limit_unshown(service: Service, name: str) -> None:
    """Count the request against ``name`` alone; no header tells how often others did. Raises Problem 429."""
    _admit(await run_in_threadpool(service.window.hit, [name]))


def _limited_subject(service: Service, request: Request, by_mail: bool) -> UUID:
    try:
        if not by_mail and session(request) is not None:
            raise unauthorized("Sign in to your account to make a request.", attempted=True)
        subject_id = subject(service, request)
    except Problem:
        limit_in_thread(service, request)
        raise
    limit_in_thread(service, request, f"subject:{subject_id}")
    return subject_id


def limit_in_thread(service: Service, request: Request, *names: str, scope: str = "") -> None:
    """Count the request like ``limit``, for a caller that runs in a thread."""
    counted = (_address(service, request), *names)
    admission = service.window.hit([f"{scope}{name}" for name in counted])
    request.scope["state"][EXTRA_HEADERS] = _headers(admission, service.window.seconds)
    _admit(admission)


def _address(service: Service, request: Request) -> str:
    address = addresses.client(
        request.client.host if request.client else None,
        request.headers.getlist("x-forwarded-for"),
        service.trusted_proxies,
    )
    return f"address:{addresses.bucket(address)}"


def _admit(admission: Admission) -> None:
    if not admission.admitted:
        detail = f"At most {admission.limit} of these requests in any 15 minutes. See Retry-After."
        headers = {"Retry-After": str(admission.retry_after)}
        raise Problem(429, "rate-limited", detail, headers=headers)


def _headers(admission: Admission, seconds: float) -> dict[str, str]:
    """Build the two header fields of the IETF's draft, and the three older ones that more clients read."""
    return {
        "RateLimit-Policy": f'"default";q={admission.limit};w={seconds:.0f}',
        "RateLimit": f'"default";r={admission.remaining};t={admission.reset}',
        "RateLimit-Limit": str(admission.limit),
        "RateLimit-Remaining": str(admission.remaining),
        "RateLimit-Reset": str(admission.reset),
    }


async def body(request: Request, model: type[M]) -> M:
    """Read the JSON body. Raises Problem 400, 408, 415 or 422, none of which quotes the body."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "not-json", "Send application/json.", headers={"Accept": "application/json"})
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.body()
    except TimeoutError:
        raise Problem(408, "too-slow", "The body did not arrive in time.") from None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Problem(400, "malformed-json", "The body is not JSON.") from None
    try:
        return model.model_validate(value, strict=True)
    except ValidationError as error:
        field_names = set(model.model_fields)
        errors = [
            FieldError(
                field=".".join(str(part) if part in field_names else "?" for part in entry["loc"]),
                message=entry["msg"],
            )
            for entry in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Problem(422, "invalid-body", "The body is not what is expected here.", errors=errors) from None
