"""What OpenSSL encrypts as pgBackRest does is decrypted, in pieces of any size; all else is called wrong."""

from __future__ import annotations

import random
import subprocess

import pytest

from ops_platform.clients.pgbackrest import decryption
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.proof.manifests import written

BODY = random.Random(7).randbytes(100_000)
PASSPHRASE = "a passphrase for tests"


@pytest.fixture(scope="module")
def stored() -> bytes:
    command = ["openssl", "enc", "-aes-256-cbc", "-md", "sha1", "-pass", f"pass:{PASSPHRASE}"]
    return subprocess.run(command, input=BODY, capture_output=True, check=True).stdout


def decrypted(stored: bytes, size: int, passphrase: str = PASSPHRASE) -> bytes:
    pieces = (stored[at : at + size] for at in range(0, len(stored), size))
    return b"".join(decryption.decrypt(pieces, passphrase))


@pytest.mark.parametrize("size", [7, 4096, 1 << 20])
def test_pieces_of_any_size(stored: bytes, size: int) -> None:
    assert decrypted(stored, size) == BODY


def test_what_is_not_as_it_was_written(stored: bytes) -> None:
    for broken, why in (
        (b"", "too short"),
        (stored[:10], "too short"),
        (BODY, "does not begin"),
        (stored[:-5], "cannot be decrypted"),
    ):
        with pytest.raises(CheckFailed, match=why):
            decrypted(broken, 4096)
    changed = bytearray(stored)
    changed[5000] ^= 1
    assert decrypted(bytes(changed), 4096) != BODY


def test_the_passphrase_of_the_archive() -> None:
    assert decryption.archive_passphrase(written({"cipher": {"cipher-pass": "x"}, "db": {"db-id": 1}})) == "x"
    assert decryption.archive_passphrase(written({"db": {"db-id": 1}})) is None
    with pytest.raises(CheckFailed):
        decryption.archive_passphrase(written({"db": {"db-id": 1}}).replace("1", "2", 1))
    # A changed byte garbles a block and the one behind it; the end still decrypts.
    with pytest.raises(CheckFailed, match="not as pgBackRest writes it"):
        decryption.archive_passphrase(written({"db": {"db-id": 1}}).replace("db-id=1", "\x00\udc80"))
