"""Requests of data subjects: their lifecycle, queue, deadlines, tokens and mails.

Carrying them out is in ``fulfilment``.
"""

from ops_platform.gdpr.requests.address_lookup import EmailOnRecord
from ops_platform.gdpr.requests.deadlines import DOWNLOAD_WITHIN, FINISH_WITHIN, due_at
from ops_platform.gdpr.requests.lifecycle import (
    REQUEST_TYPES,
    TRANSITIONS,
    AlreadyVerified,
    Consent,
    NotPossible,
    Request,
    RequestError,
    Submission,
    TokenExpired,
    UnknownRequest,
    cancel,
    expire,
    find,
    find_all,
    scrub,
    submit,
    verify,
)
from ops_platform.gdpr.requests.mail_texts import LANGUAGES, Language, RequestType, Text, language_of
from ops_platform.gdpr.requests.verification_mail import PAGE
from ops_platform.gdpr.requests.work_queue import Claim, Due, NotClaimed, NotYet

__all__ = [
    "DOWNLOAD_WITHIN",
    "FINISH_WITHIN",
    "LANGUAGES",
    "PAGE",
    "REQUEST_TYPES",
    "TRANSITIONS",
    "AlreadyVerified",
    "Claim",
    "Consent",
    "Due",
    "EmailOnRecord",
    "Language",
    "NotClaimed",
    "NotPossible",
    "NotYet",
    "Request",
    "RequestError",
    "RequestType",
    "Submission",
    "Text",
    "TokenExpired",
    "UnknownRequest",
    "address_lookup",
    "cancel",
    "due_at",
    "expire",
    "find",
    "find_all",
    "language_of",
    "mail_texts",
    "precedence",
    "scrub",
    "submit",
    "verify",
    "work_queue",
]
