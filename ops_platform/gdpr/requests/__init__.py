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
    Description,
    NotPossible,
    Request,
    RequestError,
    Submission,
    TokenExpired,
    UnknownRequest,
    cancel,
    describe,
    expire,
    find,
    find_all,
    is_erased,
    scrub,
    submit,
    verify,
)
from ops_platform.gdpr.requests.mail_texts import LANGUAGES, Language, RequestType, Text, language_of
from ops_platform.gdpr.requests.precedence import Choice, ReadyExport
from ops_platform.gdpr.requests.sign_in import STATUS_PAGE
from ops_platform.gdpr.requests.verification_mail import PAGE
from ops_platform.gdpr.requests.work_queue import Claim, Due, NotClaimed, NotYet

__all__ = [
    "DOWNLOAD_WITHIN",
    "FINISH_WITHIN",
    "LANGUAGES",
    "PAGE",
    "REQUEST_TYPES",
    "STATUS_PAGE",
    "TRANSITIONS",
    "AlreadyVerified",
    "Choice",
    "Claim",
    "Consent",
    "Description",
    "Due",
    "EmailOnRecord",
    "Language",
    "NotClaimed",
    "NotPossible",
    "NotYet",
    "ReadyExport",
    "Request",
    "RequestError",
    "RequestType",
    "Submission",
    "Text",
    "TokenExpired",
    "UnknownRequest",
    "address_lookup",
    "cancel",
    "describe",
    "due_at",
    "expire",
    "find",
    "find_all",
    "is_erased",
    "language_of",
    "mail_texts",
    "precedence",
    "scrub",
    "sign_in",
    "submit",
    "token",
    "unsent_mails",
    "verify",
    "work_queue",
]
