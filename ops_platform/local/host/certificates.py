"""The stack's own certificate authority, and server certificates for this machine's loopback."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ops_platform.local.host.accounts import Account
from ops_platform.local.host.secrets import write_private

# pgBackRest up to 2.5x looks for the host among the DNS names only, also when it is an address
# (its issue 1977), and needs 127.0.0.1 there. trustme makes an IP entry of whatever parses as an
# address; the full-width digits do not, and become 127.0.0.1 when the name is normalised.
DNS_LOOPBACK = "\uff11\uff12\uff17.0.0.1"
NAMES = ("localhost", "127.0.0.1", "::1", DNS_LOOPBACK)
VALID_DAYS = 365
RENEW_DAYS = 30


@dataclass(frozen=True)
class ServerCertificate:
    """Paths of a certificate chain and its key (0600, readable by the server's own account)."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """A certificate authority in ``directory``: ``ca.pem`` is public, ``ca.key`` is 0600."""

    directory: Path

    @property
    def ca_file(self) -> Path:
        """The authority's public certificate."""
        return self.directory / "ca.pem"

    def prepare(self, now: datetime.datetime | None = None) -> None:
        """Create the authority when it is missing or ends within RENEW_DAYS."""
        self.directory.mkdir(parents=True, exist_ok=True)
        key_file = self.directory / "ca.key"
        if key_file.exists() and days_left(self.ca_file, now) >= RENEW_DAYS:
            return
        import trustme

        authority = trustme.CA(organization_name="ops-platform embedded stack")
        write_private(key_file, authority.private_key_pem.bytes().decode())
        write_private(self.ca_file, authority.cert_pem.bytes().decode(), 0o644)

    def server(self, name: str, account: Account, now: datetime.datetime | None = None) -> ServerCertificate:
        """Keep the server certificate ``name``; issues it when few days are left or the authority changed."""
        directory = account.directory(self.directory / name, 0o700)
        pair = ServerCertificate(directory / "server.pem", directory / "server.key")
        if not (pair.key.exists() and days_left(pair.certificate, now) >= RENEW_DAYS and self._is_ours(pair)):
            self._issue(pair, account, now or datetime.datetime.now(datetime.UTC))
        return pair

    def _issue(self, pair: ServerCertificate, account: Account, now: datetime.datetime) -> None:
        import trustme  # only the first `up` of a year issues any

        authority = trustme.CA.from_pem(self.ca_file.read_bytes(), (self.directory / "ca.key").read_bytes())
        issued = authority.issue_cert(*NAMES, not_after=now + datetime.timedelta(days=VALID_DAYS))
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems).decode()
        write_private(pair.certificate, chain, 0o644)
        write_private(pair.key, issued.private_key_pem.bytes().decode())
        account.own(pair.certificate)
        account.own(pair.key)

    def _is_ours(self, pair: ServerCertificate) -> bool:
        authority = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        served = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        try:
            served.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True


def days_left(certificate: Path, now: datetime.datetime | None = None) -> float:
    """Compute the days until the certificate ends; negative when it is over or missing."""
    try:
        end = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (FileNotFoundError, ValueError):
        return -1.0
    return (end - (now or datetime.datetime.now(datetime.UTC))).total_seconds() / 86400
