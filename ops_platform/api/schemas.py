"""The JSON bodies of requests and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from ops_platform.gdpr import requests
from ops_platform.gdpr.requests import RequestType


class NewRequest(BaseModel):
    """The request that a subject makes. Other fields of the body are ignored, an address above all."""

    request_type: RequestType


class Verification(BaseModel):
    """The mailed token, as in the link or typed with spaces, hyphens and small letters."""

    token: str = Field(max_length=1000)
    consent: bool = Field(default=False, description="Agreed to the wording that the page shows, if it does.")


class RequestView(BaseModel):
    """A request as its subject sees it."""

    request_id: str
    request_type: RequestType
    status: Literal["pending", "processing", "completed", "failed"]
    outcome: Literal["fulfilled", "cancelled", "expired", "error"] | None = Field(
        description="How it ended; cancelled and expired requests have the status failed."
    )
    created_at: datetime
    updated_at: datetime
    verified_at: datetime | None = Field(description="Null until the mailed token was used.")
    verification_expires_at: datetime | None
    due_at: datetime | None = Field(description="72 hours after the verification.")
    completed_at: datetime | None
    can_be_cancelled: bool


class MadeRequest(RequestView):
    """``mail_sent``: a verification mail is on its way; false when a recent one still counts."""

    mail_sent: bool


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


def view(request: requests.Request) -> RequestView:
    """Show a request to its subject."""
    return RequestView(**_fields(request))


def made(answer: requests.Submission) -> MadeRequest:
    """Show a request to the subject who made it just now."""
    return MadeRequest(**_fields(answer.request), mail_sent=answer.mailed)


def _fields(request: requests.Request) -> dict[str, object]:
    own = {
        name: getattr(request, name) for name in RequestView.model_fields if name not in ("can_be_cancelled",)
    }
    return {**own, "can_be_cancelled": request.status == "pending"}
