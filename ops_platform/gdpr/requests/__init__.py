"""Requests of data subjects: their lifecycle, queue, deadlines, tokens and mails.

How one is carried out is in ``fulfilment``.
"""

from ops_platform.gdpr.requests.address_lookup import EmailOnRecord
from ops_platform.gdpr.requests.deadlines import DOWNLOAD_WITHIN, FINISH_WITHIN, due_at
from ops_platform.gdpr.requests.lifecycle import (
    ENTERED,
    REQUEST_TYPES,
    AlreadyVerified,
    Consent,
    Made,
    NotPossible,
    Request,
    RequestError,
    TokenExpired,
    UnknownRequest,
    cancel,
    expire,
    find,
    make,
    of_subject,
    scrub,
    verify,
)
from ops_platform.gdpr.requests.mail_texts import LANGUAGES, Language, RequestType, Text, language_of
from ops_platform.gdpr.requests.verification_mail import PAGE
from ops_platform.gdpr.requests.work_queue import Claim, Due, NotClaimed, NotYet

__all__ = [
    "DOWNLOAD_WITHIN",
    "ENTERED",
    "FINISH_WITHIN",
    "LANGUAGES",
    "PAGE",
    "REQUEST_TYPES",
    "AlreadyVerified",
    "Claim",
    "Consent",
    "Due",
    "EmailOnRecord",
    "Language",
    "Made",
    "NotClaimed",
    "NotPossible",
    "NotYet",
    "Request",
    "RequestError",
    "RequestType",
    "Text",
    "TokenExpired",
    "UnknownRequest",
    "address_lookup",
    "cancel",
    "due_at",
    "expire",
    "find",
    "language_of",
    "mail_texts",
    "make",
    "of_subject",
    "precedence",
    "scrub",
    "verify",
    "work_queue",
]
