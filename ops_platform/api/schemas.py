"""The JSON bodies of requests and answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from ops_platform.gdpr import requests
from ops_platform.gdpr.requests import Choice, Language, RequestType


class NewRequest(BaseModel):
    """The request that a subject makes. Other fields of the body are ignored, an address above all."""

    request_type: RequestType
    language: Language | None = Field(
        default=None,
        description="Language of the mails, of the page that they link to and of the export's index; "
        "null: the best of Accept-Language.",
    )


class TypedToken(BaseModel):
    """The mailed token, as in the link or typed with spaces, hyphens and small letters."""

    token: str = Field(max_length=1000)


class Verification(TypedToken):
    """The mailed token, and what the person chose on the page."""

    consent: bool = Field(default=False, description="Agreed to the wording that the page shows, if it does.")
    existing_export: Choice | None = Field(
        default=None,
        description="Of an erasure while an export can still be downloaded: wait until it was downloaded "
        "(three hours from the start of the download, more for a large one), for 48 hours at most and no "
        "longer than the export is there, or delete it with the rest. Null: wait, unless a link to it was "
        "given out before.",
    )


class RequestView(BaseModel):
    """A request as its subject sees it."""

    request_id: str
    request_type: RequestType
    language: Language
    status: Literal["pending", "processing", "completed", "failed"]
    outcome: Literal["fulfilled", "cancelled", "expired", "error"] | None = Field(
        description="How it ended; cancelled and expired requests have the status failed."
    )
    created_at: datetime
    updated_at: datetime
    verified_at: datetime | None = Field(description="Null until the mailed token was used.")
    verification_expires_at: datetime | None
    due_at: datetime | None = Field(description="72 hours after the verification.")
    waits_until: datetime | None = Field(
        description="Of an erasure: it waits for an export to be written and downloaded, until then at most."
    )
    completed_at: datetime | None
    can_be_cancelled: bool
    progress: str | None = Field(description="The step that the work has reached.")
    download_until: datetime | None = Field(
        description="Until when a finished export can be downloaded; null when it is deleted, or goes with "
        "an erasure that does not wait for it."
    )
    has_certificate: bool = Field(description="An erasure certificate was issued.")
    can_be_received: bool = Field(
        description="Of an export: a link to it was given out, and an erasure waits for it, until its "
        "subject says that they have it."
    )


class MadeRequest(RequestView):
    """``mail_sent``: a verification mail is on its way; false when a recent one still counts."""

    mail_sent: bool


class SignIn(BaseModel):
    """Whom to mail a link for the status page."""

    email: str = Field(min_length=3, max_length=320)
    language: Language | None = Field(default=None, description="Null: the best of Accept-Language.")


class SignInSent(BaseModel):
    """The answer to every address alike: whether there is a request for it is told by mail alone."""

    valid_minutes: int


class Session(BaseModel):
    """A session, as bearer token, for one's requests, downloads and certificates, and for cancelling."""

    session: str
    expires_at: datetime


class Certificate(BaseModel):
    """A signed erasure certificate, as ``ops-platform gdpr verify-certificate`` reads it."""

    certificate: dict[str, Any]
    key_id: str
    signature: str


class RequestDescription(RequestView):
    """A request before it is confirmed, and what its erasure would take along."""

    export_until: datetime | None = Field(
        description="Until when an export can be downloaded that the erasure would delete."
    )
    export_fetched: bool = Field(description="A link to that export was given out before.")
    could_wait_until: datetime | None = Field(
        description="Until when at most the erasure would wait for the download, if confirmed now."
    )


class RequestList(BaseModel):
    """The requests of one subject, newest first."""

    requests: list[RequestView]


class Download(BaseModel):
    """A link that works for some minutes; ask again for another."""

    url: str
    expires_at: datetime


class Health(BaseModel):
    """The answer of a health check that passed."""

    status: Literal["ok"]


@dataclass(frozen=True)
class Result:
    """The result of a request: until when its export can be downloaded, whether it has a certificate.

    ``waits_until``: until when at most an open erasure waits for an export. ``can_be_received``: an erasure
    waits for this export, of which a link was given out.
    """

    download_until: datetime | None = None
    has_certificate: bool = False
    waits_until: datetime | None = None
    can_be_received: bool = False


def view(request: requests.Request, result: Result | None = None) -> RequestView:
    """Show a request to its subject, with its result if it has one."""
    return RequestView(**_fields(request, result))


def made(answer: requests.Submission) -> MadeRequest:
    """Show a request to the subject who made it just now."""
    return MadeRequest(**_fields(answer.request), mail_sent=answer.mailed)


def description(described: requests.Description, now: datetime) -> RequestDescription:
    """Show a request to the holder of its token, who has not confirmed it yet."""
    export = described.export
    return RequestDescription(
        **_fields(described.request),
        export_until=export.until if export else None,
        export_fetched=bool(export and export.fetched),
        could_wait_until=export.waits_until("wait", now) if export else None,
    )


def _fields(request: requests.Request, result: Result | None = None) -> dict[str, object]:
    result = result or Result(waits_until=request.waits_until)
    own = {name: getattr(request, name) for name in RequestView.model_fields if hasattr(request, name)}
    return {
        **own,
        "can_be_cancelled": request.status == "pending",
        "download_until": result.download_until,
        "has_certificate": result.has_certificate,
        "can_be_received": result.can_be_received,
        "waits_until": result.waits_until,
    }
