"""The endpoints for data subjects: each asks the guards, calls ``gdpr.requests`` and answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ops_platform.api import schemas, transitions
from ops_platform.api.edge import guards
from ops_platform.api.openapi import json_body, problems
from ops_platform.api.problems import Problem, not_found, unauthorized
from ops_platform.api.schemas import (
    Certificate,
    Download,
    MadeRequest,
    NewRequest,
    RequestDescription,
    RequestList,
    RequestView,
    TypedToken,
    Verification,
)
from ops_platform.api.service import Service
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import certificates, requests
from ops_platform.gdpr.certificates import html_page
from ops_platform.gdpr.export import archive_store
from ops_platform.gdpr.requests import language_of

BEARER: list[dict[str, list[str]]] = [{"bearer": []}]
EITHER: list[dict[str, list[str]]] = [{"bearer": []}, {"session": []}]


def router(service: Service) -> APIRouter:
    """Build the routes below /api/gdpr, except the page's."""
    routes = APIRouter(prefix="/api/gdpr", tags=["data subjects"])
    _changing(routes, service)
    _reading(routes, service)
    return routes


def _changing(routes: APIRouter, service: Service) -> None:
    @routes.post(
        "/request",
        status_code=202,
        response_model=MadeRequest,
        summary="Ask for an erasure or an export",
        responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra={"security": BEARER, **json_body(NewRequest)},
    )
    async def make_request(request: Request, response: Response) -> MadeRequest:
        """Mail a token to the address on record; nothing happens before it is used.

        While a request of the same type is open, it is the answer. If it is not verified and its last
        mail is older than five minutes, another mail is sent, whose token replaces the one before, in the
        language that is asked for then.
        """
        guards.count_as(request, "request")
        subject = await guards.limited_subject(service, request, by_mail=False)
        body = await guards.body(request, NewRequest)
        language = body.language or language_of(request.headers.get("accept-language"))
        made = await run_in_threadpool(transitions.make, service, subject, body, language)
        response.headers["Location"] = f"/api/gdpr/status/{made.request_id}"
        return made

    @routes.delete(
        "/request/{requestId}",
        response_model=RequestView,
        summary="Cancel a request",
        responses=problems(401, 404, 409, 413, 429, 503),
        openapi_extra={"security": EITHER},
    )
    async def cancel_request(request: Request, requestId: str) -> RequestView:
        """Cancel a request whose work has not begun; it stays cancelled."""
        guards.count_as(request, "cancel")
        subject = await guards.limited_subject(service, request, by_mail=True)
        return await run_in_threadpool(transitions.cancel, service, requestId, subject)

    @routes.post(
        "/download/{requestId}/received",
        response_model=RequestView,
        summary="Say that you have your copy",
        responses=problems(401, 404, 409, 413, 429, 503),
        openapi_extra={"security": EITHER},
    )
    async def receive_copy(request: Request, requestId: str) -> RequestView:
        """Say that you have the copy: an erasure waits for its download no longer. It cannot be taken back.

        409 before a link to it was given out. A second time answers as the first.
        """
        guards.count_as(request, "received")
        subject = await guards.limited_subject(service, request, by_mail=True)
        await run_in_threadpool(guards.same_mailbox, service, request)
        return await run_in_threadpool(transitions.receive_copy, service, requestId, subject)

    @routes.post(
        "/verify/{requestId}",
        response_model=RequestView,
        summary="Confirm a request with the mailed token",
        responses=problems(400, 404, 408, 409, 410, 413, 415, 422, 429, 503),
        openapi_extra={"security": [], **json_body(Verification)},
    )
    async def verify_request(request: Request, requestId: str) -> RequestView:
        """Confirm a request. The token alone authorises it, once, for 24 hours. A wrong one gets 404."""
        guards.count_as(request, "verify")
        # The token names no subject, so the limit is counted against the request.
        await guards.limit(service, request, f"request:{requestId[:100]}")
        body = await guards.body(request, Verification)
        return await run_in_threadpool(transitions.verify, service, requestId, body)

    @routes.post(
        "/verify/{requestId}/description",
        response_model=RequestDescription,
        summary="What the mailed token would confirm",
        responses=problems(400, 404, 408, 409, 410, 413, 415, 422, 429, 503),
        openapi_extra={"security": [], **json_body(TypedToken)},
    )
    async def describe_request(request: Request, requestId: str) -> RequestDescription:
        """Describe a request to the holder of its token, which stays good: nothing is confirmed.

        Refused like the confirmation, and limited like it, on a count of its own.
        """
        guards.count_as(request, "describe")
        await guards.limit(service, request, f"request:{requestId[:100]}", scope="describe/")
        body = await guards.body(request, TypedToken)
        return await run_in_threadpool(transitions.describe, service, requestId, body)


def _reading(routes: APIRouter, service: Service) -> None:
    # Plain functions, so that each uses a thread once: waiting for one takes most of a short request's time.
    @routes.get(
        "/status/{requestId}",
        response_model=RequestView,
        summary="One of your requests",
        responses=problems(401, 404, 413, 429, 503),
        openapi_extra={"security": EITHER},
    )
    def status(request: Request, requestId: str) -> RequestView:
        guards.count_as(request, "status")
        found = _find(service, requestId, guards.subject(service, request))
        with service.ops.reading() as connection:
            return schemas.view(found, results(connection, [found], service.clock()).get(found.request_id))

    @routes.get(
        "/requests",
        response_model=RequestList,
        summary="Your requests, newest first",
        responses=problems(401, 413, 429, 503),
        openapi_extra={"security": EITHER},
    )
    def list_requests(request: Request) -> RequestList:
        """List your requests. A bearer token of an account that has been erased gets 401."""
        guards.count_as(request, "requests")
        subject = guards.subject(service, request)
        with service.ops.reading() as connection:
            # A session of a mailed link is the person's own; the product's tokens may outlive the account.
            if guards.session(request) is None and requests.is_erased(connection, subject):
                raise unauthorized("The account of this token has been erased.", attempted=True)
            own_requests = requests.find_all(connection, subject)
            known = results(connection, own_requests, service.clock())
        return RequestList(
            requests=[
                schemas.view(own_request, known.get(own_request.request_id)) for own_request in own_requests
            ]
        )

    @routes.get(
        "/download/{requestId}",
        response_model=Download,
        summary="A link to your export",
        responses=problems(401, 404, 409, 410, 413, 429, 503),
        openapi_extra={"security": EITHER},
    )
    def download(request: Request, requestId: str) -> Download:
        """Get a link to the export. It works for 15 minutes; ask for another until 72 hours after completion.

        Each answer is recorded, and limited on a count of its own. 409 while there is nothing to download,
        410 when it has been deleted.
        """
        guards.count_as(request, "download")
        subject = guards.subject(service, request)
        guards.same_mailbox(service, request)
        guards.limit_in_thread(service, request, f"subject:{subject}", scope="download/")
        return _download(service, requestId, subject)

    @routes.get(
        "/certificate/{requestId}",
        response_model=Certificate,
        summary="The certificate of your erasure",
        responses={
            200: {"content": {"text/html": {"schema": {"type": "string"}}}},
            **problems(401, 404, 409, 413, 429, 503),
        },
        openapi_extra={"security": EITHER},
    )
    def certificate(request: Request, requestId: str) -> Response:
        """Get the signed certificate as a file. 409 while there is none.

        With ``Accept: text/html`` as a page to read, in the language of Accept-Language.
        """
        guards.count_as(request, "certificate")
        found = _find(service, requestId, guards.subject(service, request))
        with service.ops.reading() as connection:
            issued = certificates.find(connection, found.request_id)
            token = certificates.trusted_time.find(connection, found.request_id)
        if issued is None:
            raise Problem(409, "no-certificate", "There is no certificate: the data are not erased.")
        if "text/html" not in request.headers.get("accept", ""):
            return _file(issued.as_file(token), "application/json", issued.file_name)
        language = language_of(request.headers.get("accept-language"))
        return _file(html_page.page(issued, language), "text/html", issued.page_name)


def _file(content: str, media_type: str, name: str) -> Response:
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept, Accept-Language"},
    )


def results(
    connection: Connection, own_requests: Sequence[requests.Request], now: datetime
) -> dict[str, schemas.Result]:
    """Find what came of the requests, by their ids."""
    awaited = set[str]()
    ids = [request.request_id for request in own_requests]
    kept: dict[str, datetime | None] = {**archive_store.kept_until(connection, ids)}
    certified = certificates.issued(connection, ids)
    waiting = {request.request_id: request.waits_until for request in own_requests}
    for subject in {request.subject for request in own_requests}:
        waits = requests.precedence.waits(connection, subject)
        waiting |= waits.erasures
        # An open erasure deletes a copy before its time.
        kept |= {export: until for export, until in waits.exports.items() if kept.get(export)}
        awaited |= {export for export, until in waits.exports.items() if until and until > now}
    received = requests.precedence.downloaded(connection, [*awaited])
    return {
        request_id: schemas.Result(
            kept.get(request_id), request_id in certified, waiting.get(request_id), request_id in received
        )
        for request_id in ids
    }


def _download(service: Service, request_id: str, subject: UUID) -> Download:
    now = service.clock()
    request = _find(service, request_id, subject)
    if request.request_type != "export":
        raise Problem(409, "no-export", "This request is not an export: there is nothing to download.")
    with service.ops.use() as connection:
        export = archive_store.find(connection, request.request_id)
        if export is None and request.status == "failed":
            raise not_found()
        if export is None:
            raise Problem(409, "not-ready", "The export is not ready yet. Ask for its status.")
        if export.is_over(now):
            raise Problem(410, "deleted", "The export has been deleted. Make a new request for another one.")
        expires_at = min(now + archive_store.LINK_LIFETIME, export.expires_at)
        url = service.exports.presigned(
            export.object_key,
            max(1, int((expires_at - now).total_seconds())),
            f"export-{request.request_id}.zip",
        )
        # Recorded before the link is given out: the block's end commits, or there is no answer.
        archive_store.record_download(connection, export, expires_at, now)
    return Download(url=url, expires_at=expires_at)


def _find(service: Service, request_id: str, subject: UUID) -> requests.Request:
    with service.ops.reading() as connection:
        try:
            return requests.find(connection, transitions.known_form(request_id), subject)
        except requests.UnknownRequest:
            raise not_found() from None
