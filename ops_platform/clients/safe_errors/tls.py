"""The causes of a failed TLS handshake, for the clients that advise on it."""

from __future__ import annotations

from typing import Literal

TlsFault = Literal["no TLS there", "another name", "expired", "unknown authority"]


def tls_fault(error: BaseException) -> TlsFault | None:
    """Recognise the fault in an error's text; None when the error is of another kind."""
    text = str(error)
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return "no TLS there"
    if "Hostname mismatch" in text or "IP address mismatch" in text or "doesn't match" in text:
        return "another name"
    if "certificate has expired" in text:
        return "expired"
    return "unknown authority" if "CERTIFICATE_VERIFY_FAILED" in text else None
