"""Erasure certificates: the signed document, and where certificates are kept.

Not here: the proof that a certificate states, which ``gdpr.erasure`` gathers, and the signing keys
(``audit``).
"""

from ops_platform.gdpr.certificates.certificate_store import (
    adopt,
    find,
    from_ledger,
    issue,
    issued,
    retrieve,
    stored,
)
from ops_platform.gdpr.certificates.document import (
    EFFECT_FIELDS,
    Issued,
    compose,
    public_keys,
    signing_key,
    verify,
)

__all__ = [
    "EFFECT_FIELDS",
    "Issued",
    "adopt",
    "compose",
    "find",
    "from_ledger",
    "issue",
    "issued",
    "public_keys",
    "retrieve",
    "signing_key",
    "stored",
    "verify",
]
