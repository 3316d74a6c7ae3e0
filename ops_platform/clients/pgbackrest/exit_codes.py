"""One line that says what is wrong and what to do, for each of pgBackRest's exit codes and messages.

Its own messages span lines, quote HTTP exchanges and, with a wrong passphrase, ciphertext.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ops_platform.clients.safe_errors import scrub
from ops_platform.errors import OpsError

LOCKED = 50
"""Exit code: another pgBackRest process holds the stanza's lock."""
ARCHIVE_TIMEOUT = 82
FILE_MISSING = 55
NO_SET = 75
CRYPTO = 95
"""Exit code: a file cannot be decrypted; it is damaged, or the passphrase is another."""
NO_REPOSITORY = 103
LABEL_NOT_NEWEST = 106
"""Exit code: the repository lists a set whose label sorts after that of the new one."""


class PgBackRestError(OpsError):
    """A pgBackRest command failed. ``code`` is its exit code; None if killed, or its answer is unreadable."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        # Configuration, reachability, identity and passphrase are for the operator to correct.
        self.exit_code = 2 if code in _OPERATOR_CODES else 1


@dataclass(frozen=True)
class _Known:
    pattern: str
    message: str


_INDEX_GONE = (
    "the repository's index {x} is gone: do not take a backup; restore it with 'ops-platform repository "
    "repair'"
)
# The first match counts. The texts come from pgBackRest 2.45 and 2.55 and from S3's error documents.
_TEXTS = (
    _Known(
        r"unable to find hostname '(?P<x>[^']*)' in certificate",
        "the certificate of S3 is not for {x}: use the name in it as OPS_S3_ENDPOINT_URL; "
        "pgBackRest before 2.53 finds an IP address only among the DNS names",
    ),
    _Known(
        r"unable to verify certificate presented by '(?P<x>[^']*)'",
        "the certificate of S3 at {x} is not signed by a known CA: set OPS_CA_FILE to its CA",
    ),
    _Known(
        r"unable to set user-defined CA certificate",
        "the CA file cannot be read by pgBackRest's user: correct OPS_CA_FILE",
    ),
    _Known(
        r"wrong version number|tlsv1 alert|TLS error",
        "S3 does not speak TLS at that address: correct OPS_S3_ENDPOINT_URL",
    ),
    _Known(
        r"<Code>NoSuchBucket", "the bucket does not exist: correct PGBACKREST_REPO1_S3_BUCKET or create it"
    ),
    _Known(
        r"<Code>InvalidAccessKeyId",
        "S3 does not know the access key: correct OPS_S3_BACKUP_ACCESS_KEY_ID, or for a restore "
        "OPS_S3_BACKUP_READER_ACCESS_KEY_ID",
    ),
    _Known(
        r"<Code>SignatureDoesNotMatch",
        "S3 refuses the secret key: correct OPS_S3_BACKUP_SECRET_ACCESS_KEY[_FILE], or for a restore "
        "OPS_S3_BACKUP_READER_SECRET_ACCESS_KEY[_FILE]",
    ),
    _Known(
        r"<Code>(AuthorizationHeaderMalformed|PermanentRedirect|IllegalLocationConstraintException)",
        "the bucket is in another region: correct OPS_S3_REGION",
    ),
    _Known(
        r"<Code>(RequestTimeTooSkewed|RequestExpired)",
        "this machine's clock differs from that of S3: set it right",
    ),
    _Known(
        r"<Code>AccessDenied|HTTP request failed with 403",
        "S3 denies access: correct PGBACKREST_REPO1_S3_BUCKET, or give the identity the rights on its bucket",
    ),
    _Known(
        # Of an answer that it tried again in vain it gives the number alone.
        r"HTTP request failed with (?P<x>408|429|5\d\d)|\[(?P<y>408|429|5\d\d)\] [A-Z]",
        "S3 answers with error {x}{y}: look at its log and free space, then try again",
    ),
    _Known(
        r"unable to get address for '(?P<x>[^']*)'", "the name {x} cannot be resolved: correct the address"
    ),
    _Known(
        r"unable to connect to '(?P<x>[^']*)'|timeout connecting to '(?P<y>[^']*)'",
        "{x}{y} cannot be reached: start it or correct the address",
    ),
    _Known(
        r"unable to load info file '[^']*/(?P<x>(archive|backup)\.info)'[\s\S]*"
        r"FileMissingError: [^\n]*\.copy'",
        _INDEX_GONE,
    ),
    _Known(
        r"unable to (load|open) info file[\s\S]*(key/value found outside of section|cipher header invalid|"
        r"unable to flush|invalid checksum|unexpected eof)|is or was the repo encrypted|cipher header",
        "the repository cannot be decrypted: correct OPS_PGBACKREST_CIPHER_PASS[_FILE] (the passphrase "
        "of the time when the stanza was created) and 'encryption' in backups.yaml; if they are right, the "
        "index is damaged: take no backup, and run 'ops-platform repository repair'",
    ),
    _Known(
        r"No space left on device",
        "the disk is full: free space where pgBackRest keeps its lock, spool and log",
    ),
    _Known(r"Read-only file system", "the disk is read-only: mount it writable"),
    _Known(r"stop file exists", "backups were stopped by 'pgbackrest stop': run 'pgbackrest start' to go on"),
    _Known(
        r"has a stanza-create been performed|missing stanza path",
        "the stanza does not exist in the repository: the next backup creates it",
    ),
    _Known(
        r"unexpected (control|WAL) version",
        "this pgBackRest is too old for the server's version: install a newer one",
    ),
    _Known(
        r"terminated on signal",
        "it was told to stop",
    ),
)

_OTHER_CLUSTER = (
    "the stanza was made for another cluster: after a pg_upgrade run 'ops-platform stanza upgrade', "
    "else correct its data_path"
)
_CODES = {
    27: "its configuration is invalid: correct backups.yaml or OPS_*",
    28: _OTHER_CLUSTER,
    37: "an option is missing: correct backups.yaml or OPS_*",
    38: "PostgreSQL is running on that data directory: stop it first",
    40: "the path is not empty: choose an empty one",
    41: "a file could not be opened: look at its owner and mode",
    44: "the WAL archive belongs to another cluster: after a pg_upgrade run 'ops-platform stanza upgrade', "
    "else correct the stanza's data_path",
    45: "two clusters archive to one stanza (another segment of this name is there): give each its own",
    LOCKED: "another pgBackRest process holds the lock: wait for its end",
    51: _OTHER_CLUSTER,
    FILE_MISSING: "a file is missing in the repository",
    56: "it cannot connect to PostgreSQL: start the server, or correct socket_path, port and role ops_backup",
    62: "backups were stopped by 'pgbackrest stop': run 'pgbackrest start' to go on",
    63: "it was told to stop: run it again",
    NO_SET: "no set fits: choose another target",
    ARCHIVE_TIMEOUT: "WAL was not archived in time: look at the server's log for archive_command",
    CRYPTO: "encryption failed: correct OPS_PGBACKREST_CIPHER_PASS[_FILE] or OPS_CA_FILE",
    101: "S3 does not answer as it should: look at its log",
    NO_REPOSITORY: "no repository could be used: look at the lines before",
    104: "a helper process failed: look at the lines before",
    LABEL_NOT_NEWEST: "the repository holds a set from the future: set this machine's clock right",
}
# "repo1: [HostConnectError] unable to connect to ...", with the code that it has as an error.
_UNREADABLE_CODES = {"HostConnectError": 49, "ServiceError": 101, "CryptoError": 95}
_UNREADABLE = re.compile(rf"\[(?P<error>{'|'.join(_UNREADABLE_CODES)})\] ")
_OPERATOR_CODES = frozenset({27, 28, 29, 31, 32, 37, 38, 39, 40, 41, 44, 47, 49, 51, 56, 62, 95, 101})


def explain(command: str, stanza: str, code: int | None, text: str, warnings: str = "") -> PgBackRestError:
    """Build the error for a command that ended with ``code`` and ``text``, with ``warnings`` before it.

    For a repository that cannot be read pgBackRest only warns, and then fails because no set fits; here
    the warning is the cause.
    """
    head = f"pgBackRest {command} of stanza {stanza}"
    cause = _UNREADABLE.search(warnings)
    if code in (NO_SET, NO_REPOSITORY) and cause is not None:
        return explain(command, stanza, _UNREADABLE_CODES[cause["error"]], warnings[cause.start() :])
    if code is not None and code < 0:
        return PgBackRestError(f"{head} was killed by signal {-code}: run it again", None)
    for entry in _TEXTS:
        match = re.search(entry.pattern, text)
        if match:
            parts = {name: value or "" for name, value in match.groupdict().items()}
            return PgBackRestError(f"{head}: {entry.message.format(**{'x': '', 'y': '', **parts})}", code)
    line = first_line(text)
    meaning = _CODES.get(code or 0)
    if meaning is not None:
        return PgBackRestError(f"{head}: {meaning}" + (f" ({line})" if line else ""), code)
    return PgBackRestError(
        f"{head} failed with code {code}: {line or 'it said nothing; look at its log'}", code
    )


def index_gone(command: str, stanza: str) -> PgBackRestError:
    """Build the error for a stanza of which there are files, and neither backup.info nor its copy."""
    message = _INDEX_GONE.format(x="backup.info")
    return PgBackRestError(f"pgBackRest {command} of stanza {stanza}: {message}", FILE_MISSING)


def first_line(text: str) -> str:
    """Return an error's first line without prefix and unprintable characters, at most 200 characters."""
    for line in text.splitlines():
        bare = re.sub(r"^.*?ERROR: (\[\d+\]: )?", "", line).strip()
        if bare:
            return scrub("".join(char for char in bare if char.isprintable() and char != "�"))[:200]
    return ""
