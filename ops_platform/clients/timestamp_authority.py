"""A time stamping authority (RFC 3161): tokens that prove when a digest existed, and their verification.

Both by ``openssl ts``: its verification is the one that auditors use, and needs no network.
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ops_platform.clients.child_process import Ended, Launcher
from ops_platform.clients.safe_errors import address, why
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.settings import Settings

TIMEOUT_SECONDS = 10.0
SYSTEM_CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
LARGEST = 256 << 10
"""Bytes of the largest answer that is read; usual ones have 3 to 8 KiB."""
_TIME = re.compile(r"^Time stamp: (\w{3} +\d+ [\d:]+)(?:\.\d+)? (\d{4}) GMT$", re.MULTILINE)


@dataclass(frozen=True)
class TimestampAuthority:
    """An authority, by the URL that it answers at. ``ca_file``: PEM of the roots that it is trusted by."""

    url: str
    ca_file: Path = SYSTEM_CA_FILE
    timeout_seconds: float = TIMEOUT_SECONDS

    def stamp(self, digest: bytes) -> bytes:
        """Return a token over a SHA-256 digest, in DER, verified.

        Raises Unavailable when the authority is away or refuses, CheckFailed when its answer is not what was
        asked for or not trusted.
        """
        with _folder() as folder:
            query, answer, token = (folder / name for name in ("query", "answer", "token"))
            # -cert: the token carries the signer's certificate, else nobody could verify it offline.
            asked = _openssl(["-query", "-digest", digest.hex(), "-sha256", "-cert", "-out", str(query)])
            if asked.code:
                raise ConfigurationError(
                    "openssl cannot write a question to a time stamping authority: is its configuration "
                    "(OPENSSL_CONF) readable?"
                )
            answer.write_bytes(self._post(query.read_bytes()))
            # By the query: its nonce shows that the answer is not an old one.
            ended = _openssl(
                ["-verify", "-queryfile", str(query), "-in", str(answer), "-CAfile", str(self.ca_file)]
            )
            if ended.code:
                raise _refused(ended, self.ca_file)
            ended = _openssl(["-reply", "-in", str(answer), "-token_out", "-out", str(token)])
            if ended.code:
                raise CheckFailed("the answer of the time stamping authority holds no token of RFC 3161")
            return token.read_bytes()

    def _post(self, query: bytes) -> bytes:
        """Ask the authority, for ``timeout_seconds`` in all."""
        answer: Future[bytes] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._ask(query, time.monotonic() + self.timeout_seconds))
            except BaseException as error:
                answer.set_exception(error)

        # httpx waits so long for each read: whoever sends a byte now and then would hold us for days.
        threading.Thread(target=ask, name="time stamping", daemon=True).start()
        try:
            return answer.result(self.timeout_seconds)
        except TimeoutError:
            raise Unavailable(f"{self._where} did not answer in time") from None

    def _ask(self, query: bytes, until: float) -> bytes:
        import httpx

        body = bytearray()
        try:
            # No proxies from the environment: ops_platform.settings alone reads it.
            with (
                httpx.Client(timeout=self.timeout_seconds, trust_env=False) as client,
                client.stream(
                    "POST", self.url, content=query, headers={"Content-Type": "application/timestamp-query"}
                ) as response,
            ):
                for chunk in response.iter_raw():
                    body += chunk
                    if time.monotonic() > until:
                        raise Unavailable(f"{self._where} did not answer in time")
                    if len(body) > LARGEST:
                        break
        except httpx.InvalidURL:
            raise Unavailable("OPS_GDPR_TIMESTAMP_URL is malformed: correct it") from None
        except httpx.TimeoutException:
            raise Unavailable(f"{self._where} did not answer in time") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"cannot reach {self._where}: {why(error)}") from None
        if not response.is_success or len(body) > LARGEST:
            raise Unavailable(f"{self._where} answered with {response.status_code}: is the URL right?")
        return bytes(body)

    @property
    def _where(self) -> str:
        return f"the time stamping authority at {address(self.url)}"


def verify(token: bytes, digest: bytes, ca_file: Path = SYSTEM_CA_FILE) -> datetime:
    """Verify a token over a SHA-256 digest and return its time.

    The signer's certificate has to be good at that time, not now: certificates expire, tokens do not.
    Raises CheckFailed when it is not genuine, or is over something else.
    """
    with _folder() as folder:
        file = folder / "token"
        file.write_bytes(token)
        at = _time(file)
        ended = _openssl(
            [
                *("-verify", "-digest", digest.hex(), "-in", str(file), "-token_in"),
                *("-CAfile", str(ca_file), "-attime", str(int(at.timestamp()))),
            ]
        )
        if ended.code:
            raise _refused(ended, ca_file)
        return at


def from_settings(settings: Settings) -> TimestampAuthority | None:
    """Return the authority that OPS_GDPR_TIMESTAMP_URL names; None where it is not set."""
    url = settings.gdpr.timestamp_url
    return None if url is None else TimestampAuthority(url, ca_file(settings))


def ca_file(settings: Settings) -> Path:
    """Return the file of trusted roots: OPS_GDPR_TIMESTAMP_CA_FILE, else the system's."""
    return settings.gdpr.timestamp_ca_file or SYSTEM_CA_FILE


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder for openssl's files. Raises Unavailable when they cannot be written or read."""
    try:
        with tempfile.TemporaryDirectory(prefix="ops-timestamp-") as folder:
            yield Path(folder)
    except OSError as error:
        raise Unavailable(f"a file for openssl cannot be written: {why(error)}: is the disk full?") from None


def _time(token: Path) -> datetime:
    ended = _openssl(["-reply", "-in", str(token), "-token_in", "-token_out", "-text"])
    found = _TIME.search(ended.stdout)
    if ended.code or found is None:
        raise CheckFailed("the trusted time is no token of RFC 3161: it was cut off, or is something else")
    return datetime.strptime(f"{found.group(1)} {found.group(2)}", "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)


def _openssl(arguments: Sequence[str]) -> Ended:
    return Launcher().run(["openssl", "ts", *arguments], timeout=TIMEOUT_SECONDS)


def _refused(ended: Ended, roots: Path) -> CheckFailed | ConfigurationError:
    """Word why a token was refused; openssl's own text is of its source files."""
    if "mismatch" in ended.stderr:
        return CheckFailed("the trusted time is of another document, or the answer to another question")
    if not roots.is_file():
        return ConfigurationError(f"there is no {roots}: set OPS_GDPR_TIMESTAMP_CA_FILE to the roots in PEM")
    return CheckFailed(
        "the trusted time is not signed by an authority that is trusted here: set "
        "OPS_GDPR_TIMESTAMP_CA_FILE to the PEM of its root"
    )
