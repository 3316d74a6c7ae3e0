"""The causes of a failed TLS handshake, for the clients that advise on it."""

from __future__ import annotations

from typing import Literal

TlsFault = Literal[
    "no TLS there",
    "another name",
    "expired",
    "unknown authority",
    "it asks for a client's certificate",
    "it refuses our certificate",
]


def tls_fault(error: BaseException) -> TlsFault | None:
    """Recognise the fault in an error's text; None when the error is of another kind."""
    text = str(error)
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return "no TLS there"
    if "Hostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        return "another name"
    if "certificate has expired" in text:
        return "expired"
    if "CERTIFICATE_REQUIRED" in text or "certificate required" in text:
        return "it asks for a client's certificate"
    if "_ALERT_" in text and any(word in text for word in ("UNKNOWN_CA", "CERTIFICATE", "ACCESS_DENIED")):
        return "it refuses our certificate"
    return "unknown authority" if "CERTIFICATE_VERIFY_FAILED" in text else None
