"""The append-only ledger of all duties: events, seals over them, locked copies, epochs, verification.

Duties append events through ``ledger``. The agent seals them; anybody who has the public keys can verify.
No personal data enters here.
"""

from ops_platform.audit.copies import newest_copy
from ops_platform.audit.keys import PublicKeys, SigningKey, configured_public_keys, configured_signing_key
from ops_platform.audit.ledger import JSON, AuditEvent, append

__all__ = [
    "JSON",
    "AuditEvent",
    "PublicKeys",
    "SigningKey",
    "append",
    "configured_public_keys",
    "configured_signing_key",
    "ledger",
    "newest_copy",
    "report",
    "sealer",
]
