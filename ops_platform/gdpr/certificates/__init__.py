"""Erasure certificates: the signed document, where certificates are kept, and the maps that they name.

Not here: the proof that a certificate states, which ``gdpr.erasure`` gathers, and the signing keys
(``audit``).
"""

from ops_platform.gdpr.certificates import facts, html_page, line_checks, map_store, trusted_time
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
    NotGenuine,
    compose,
    public_keys,
    signing_key,
    verify,
)

__all__ = [
    "EFFECT_FIELDS",
    "Issued",
    "NotGenuine",
    "adopt",
    "compose",
    "facts",
    "find",
    "from_ledger",
    "html_page",
    "issue",
    "issued",
    "line_checks",
    "map_store",
    "public_keys",
    "retrieve",
    "signing_key",
    "stored",
    "trusted_time",
    "verify",
]
