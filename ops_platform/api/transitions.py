"""The transitions of a request that its subject makes: each in a transaction, a refusal as a problem."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from ops_platform.api import schemas
from ops_platform.api.problems import Problem, not_found
from ops_platform.api.schemas import (
    MadeRequest,
    NewRequest,
    RequestDescription,
    RequestView,
    TypedToken,
    Verification,
)
from ops_platform.api.service import Service
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import requests
from ops_platform.gdpr.requests import Consent, Language


def make(service: Service, subject: UUID, body: NewRequest, language: Language) -> MadeRequest:
    """Ask for a request, with the address on record. Raises Problem without an account."""
    with service.product.reading() as product:
        email = service.addresses.find(product, subject)
    if email is None:
        raise Problem(403, "no-account", "There is no account with an address for this token.")
    with service.ops.use() as connection:
        made = requests.submit(
            connection,
            subject,
            body.request_type,
            email=email,
            language=language,
            api_url=service.api_url,
            now=service.clock(),
        )
    return schemas.made(made)


def cancel(service: Service, request_id: str, subject: UUID) -> RequestView:
    """Cancel one of the subject's requests. Raises Problem when it is too late."""
    with service.ops.use() as connection:
        try:
            return schemas.view(
                requests.cancel(connection, known_form(request_id), subject, now=service.clock())
            )
        except requests.UnknownRequest:
            raise not_found() from None
        except requests.NotPossible:
            detail = "It can no longer be cancelled: the work has begun, or the request has ended."
            raise Problem(409, "too-late", detail) from None


def receive_copy(service: Service, request_id: str, subject: UUID) -> RequestView:
    """Record that the subject has the copy of their export. Raises Problem where they cannot have it."""
    with service.ops.use() as connection:
        try:
            found = requests.find(connection, known_form(request_id), subject)
        except requests.UnknownRequest:
            raise not_found() from None
        if not requests.precedence.receive_copy(connection, found.request_id, service.clock()):
            detail = "This is no copy that you have downloaded. Download it first."
            raise Problem(409, "not-downloaded", detail)
    return schemas.view(found)


def describe(service: Service, request_id: str, body: TypedToken) -> RequestDescription:
    """Describe the request that the token would confirm. Raises Problem."""
    now = service.clock()
    with _refusing(service) as connection:
        described = requests.describe(connection, known_form(request_id), body.token, now=now)
    return schemas.description(described, now)


def verify(service: Service, request_id: str, body: Verification) -> RequestView:
    """Confirm the request that the token is of. Raises Problem."""
    consent = None
    if service.consent_version is not None:
        if not body.consent:
            raise Problem(422, "consent-missing", "Agree to the wording on the page, then confirm again.")
        consent = Consent(service.consent_version)
    with _refusing(service) as connection:
        verified = requests.verify(
            connection,
            known_form(request_id),
            body.token,
            now=service.clock(),
            consent=consent,
            choice=body.existing_export,
        )
    return schemas.view(verified)


@contextmanager
def _refusing(service: Service) -> Iterator[Connection]:
    """Use a connection; a refusal of the request becomes a problem, and what it counted is kept."""
    refusal: requests.RequestError | None = None
    with service.ops.use() as connection:
        try:
            yield connection
        except requests.RequestError as error:
            connection.commit()  # a wrong token is counted
            refusal = error
    if refusal is not None:
        if isinstance(refusal, requests.UnknownRequest):
            service.metrics.wrong_tokens.inc()
        raise _refusal(refusal)


def _refusal(error: requests.RequestError) -> Problem:
    if isinstance(error, requests.AlreadyVerified):
        return Problem(409, "already-confirmed", "This request was confirmed before. There is nothing to do.")
    if isinstance(error, requests.NotPossible):
        return Problem(409, "cancelled", "This request was cancelled. Make a new one.")
    if isinstance(error, requests.TokenExpired):
        return Problem(410, "expired", "This code is no longer valid. Make the request again for a new one.")
    return Problem(404, "not-found", "There is no such request, or a newer mail has replaced this code.")


def known_form(request_id: str) -> str:
    """Return the id when it is short printable ASCII, else the empty id, which no request has.

    Databases refuse some other characters with an error.
    """
    return request_id if request_id.isascii() and request_id.isprintable() and len(request_id) <= 100 else ""
