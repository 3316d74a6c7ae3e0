"""Loop that seals the audit ledger: key and bucket are opened from the settings when first needed."""

from __future__ import annotations

from ops_platform.agent.loops.reconnecting_session import ReconnectingSession
from ops_platform.audit import PublicKeys, SigningKey, sealer
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings


class Sealing:
    """Sealer with its key and bucket."""

    def __init__(self, settings: Settings, ops: ReconnectingSession) -> None:
        self._settings, self._ops = settings, ops
        self._tools: tuple[SigningKey, ObjectStore] | None = None

    def step(self) -> None:
        """Seal all events that have no seal yet.

        Raises ConfigurationError without a key, and what sealing raises; the next step catches up.
        """
        self._tools = self._tools or self._open()
        key, ledger = self._tools
        with self._ops.use() as connection:
            sealer.seal_all(
                connection,
                ledger,
                key,
                retention_days=self._settings.audit.retention_days,
                keys=self._known_keys(),
            )

    def _known_keys(self) -> PublicKeys | None:
        """Read the public keys, retired ones too: after a rotation an old one signed the newest seal."""
        pem = self._settings.audit.public_key
        return None if pem is None else PublicKeys.parse(pem)

    def _open(self) -> tuple[SigningKey, ObjectStore]:
        pem = self._settings.audit.signing_key
        if pem is None:
            raise ConfigurationError("the agent has no signing key: set OPS_AUDIT_SIGNING_KEY_FILE")
        return SigningKey(pem.get_secret_value()), object_store.from_settings(self._settings, "ledger")
