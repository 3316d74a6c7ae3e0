"""Sign-in by mail for the status page: asking for a link, the session that it begins, and its end."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ops_platform.api.edge import guards
from ops_platform.api.openapi import json_body, problems
from ops_platform.api.problems import Problem, unauthorized
from ops_platform.api.schemas import Session, SignIn, SignInSent, TypedToken
from ops_platform.api.service import Service
from ops_platform.gdpr.requests import Language, language_of, sign_in

ANSWER_SECONDS = 0.5
"""The answer takes at least as long, so that its time does not tell whether an address is known."""


def router(service: Service) -> APIRouter:
    """Build the routes of sign-in links and sessions."""
    routes = APIRouter(prefix="/api/gdpr", tags=["data subjects"])

    @routes.post(
        "/sign-in",
        status_code=202,
        response_model=SignInSent,
        summary="Ask for a link to the status page",
        responses=problems(400, 408, 413, 415, 422, 429, 503),
        openapi_extra={"security": [], **json_body(SignIn)},
    )
    async def ask_for_link(request: Request) -> SignInSent:
        """Mail a link to the address, if a request of its subject is known. It works once, for an hour."""
        guards.count_as(request, "sign-in")
        body = await guards.body(request, SignIn)
        # The limiter's keys name nobody.
        mailbox = sign_in.address_hash(body.email)
        await guards.limit(service, request, scope="sign-in/")
        await guards.limit_unshown(service, f"sign-in/mailbox:{mailbox}")
        began = time.monotonic()
        language = body.language or language_of(request.headers.get("accept-language"))
        await run_in_threadpool(_send, service, body.email, language)
        await asyncio.sleep(max(0.0, began + ANSWER_SECONDS - time.monotonic()))
        return SignInSent(valid_minutes=int(sign_in.LINK_LIFETIME.total_seconds() // 60))

    @routes.post(
        "/session",
        response_model=Session,
        summary="Begin a session with the token of a mailed link",
        responses=problems(400, 404, 408, 413, 415, 422, 429, 503),
        openapi_extra={"security": [], **json_body(TypedToken)},
    )
    async def begin_session(request: Request) -> Session:
        """Use the link's token up. The session is a bearer token for 15 minutes; it makes no requests."""
        guards.count_as(request, "session")
        await guards.limit(service, request, scope="session/")
        body = await guards.body(request, TypedToken)
        return await run_in_threadpool(_begin, service, body.token)

    @routes.delete(
        "/session",
        status_code=204,
        response_class=Response,
        summary="End a session",
        responses=problems(401, 413, 429, 503),
        openapi_extra={"security": [{"session": []}]},
    )
    def end_session(request: Request) -> Response:
        """End the session whose token is sent; one that is over stays so."""
        guards.count_as(request, "session")
        token = guards.session(request)
        if token is None:
            raise unauthorized("Send the token of a session.", attempted=False)
        guards.limit_in_thread(service, request, scope="sign-out/")
        with service.ops.use() as connection:
            sign_in.end_session(connection, token, service.clock())
        return Response(status_code=204)

    return routes


def _send(service: Service, email: str, language: Language) -> None:
    if not email.isprintable():
        return  # no address, and databases refuse some such characters with an error
    with service.ops.use() as connection:
        sign_in.send_link(
            connection,
            email,
            service.address_of,
            language=language,
            api_url=service.api_url,
            now=service.clock(),
        )


def _begin(service: Service, token: str) -> Session:
    with service.ops.use() as connection:
        begun = sign_in.begin_session(connection, token, service.address_of, service.clock())
    if begun is None:
        service.metrics.wrong_tokens.inc()
        raise Problem(404, "not-found", "This link was used before, or it is too old. Ask for another one.")
    return Session(session=begun.token, expires_at=begun.expires_at)
