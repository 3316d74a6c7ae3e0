"""The verification mail, which proves that a request is the subject's own: its link and its outbox entry."""

from __future__ import annotations

from datetime import datetime

from ops_platform.clients.mail import outbox
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.requests import mail_texts, sign_in
from ops_platform.gdpr.requests import token as tokens
from ops_platform.gdpr.requests.mail_texts import Language, RequestType

PAGE = "/api/gdpr/verify"


def link(api_url: str, language: Language, request_id: str, token: str) -> str:
    """Build the page's URL, with the token in the fragment, which no server, proxy or log ever sees."""
    return f"{api_url.rstrip('/')}{PAGE}?lang={language}#request={request_id}&token={token}"


def dedup_key(request_id: str, number: int) -> str:
    """Name a request's n-th verification mail in the outbox, so that it is put there once."""
    return f"gdpr-verification:{request_id}:{number}"


def write_mail(
    connection: Connection,
    *,
    api_url: str,
    request_id: str,
    request_type: RequestType,
    language: Language,
    email: str,
    token: str,
    number: int,
    export_until: datetime | None,
    now: datetime,
) -> None:
    """Put the ``number``-th verification mail of a request into the outbox, in the caller's transaction.

    ``export_until``: until when an export can be downloaded that the erasure deletes, too.
    """
    text = mail_texts.verification(
        language,
        request_type,
        link=link(api_url, language, request_id, token),
        request_id=request_id,
        code=tokens.as_code(token),
        status_page=sign_in.status_page(api_url, language),
        export_until=export_until,
    )
    outbox.put(connection, dedup_key(request_id, number), email, text.subject, text.body, now=now)
