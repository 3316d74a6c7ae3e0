"""All error answers, as RFC 9457 ``application/problem+json``. No answer quotes the request."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:ops-platform:problem:"


class FieldError(BaseModel):
    """A fault of one field of the body; ``field`` is its path with dots."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(examples=[f"{TYPE_PREFIX}not-found"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class Problem(Exception):
    """An answer other than success. ``name`` is the last part of the document's ``type``."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        super().__init__(name)
        self.status, self.name, self.detail = status, name, detail
        self.headers, self.errors = dict(headers or {}), errors

    def document(self) -> dict[str, Any]:
        """Return the problem document as JSON values."""
        return ProblemDocument(
            type=TYPE_PREFIX + self.name,
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            errors=self.errors,
        ).model_dump(exclude_none=True)

    def response(self) -> JSONResponse:
        """Return the HTTP response with the document."""
        return JSONResponse(self.document(), self.status, self.headers, MEDIA_TYPE)


def not_found() -> Problem:
    """Build the answer for a request that does not exist, and for one of somebody else: they look alike."""
    return Problem(404, "not-found", "There is no such request.")


def unavailable() -> Problem:
    """Build the answer for an outage behind the API; the log and /readyz name the service."""
    return Problem(
        503,
        "unavailable",
        "The service cannot do this now. Try again in a minute.",
        headers={"Retry-After": "60"},
    )


def unauthorized(detail: str, *, attempted: bool) -> Problem:
    """Build the answer to a request without a valid bearer token; ``attempted``: it had one (RFC 6750)."""
    challenge = 'Bearer realm="gdpr"' + (', error="invalid_token"' if attempted else "")
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": challenge})
