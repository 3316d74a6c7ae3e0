"""The sealer as a loop of the agent: key and bucket from the settings, opened when first needed."""

from __future__ import annotations

from ops_platform.agent.loops.reconnecting_session import Link
from ops_platform.audit import PublicKeys, SigningKey, sealer
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings


class Sealing:
    """``step`` seals all that waits."""

    def __init__(self, settings: Settings, ops: Link) -> None:
        self._settings, self._ops = settings, ops
        self._tools: tuple[SigningKey, ObjectStore] | None = None

    def step(self) -> None:
        """Raises ConfigurationError without a key, and what sealing raises; the next step catches up."""
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
        """Retired keys too: after a rotation the newest seal is still signed with the one before."""
        pem = self._settings.audit.public_key
        return None if pem is None else PublicKeys.parse(pem)

    def _open(self) -> tuple[SigningKey, ObjectStore]:
        pem = self._settings.audit.signing_key
        if pem is None:
            raise ConfigurationError("the agent has no signing key: set OPS_AUDIT_SIGNING_KEY_FILE")
        return SigningKey(pem.get_secret_value()), object_store.from_settings(self._settings, "ledger")
