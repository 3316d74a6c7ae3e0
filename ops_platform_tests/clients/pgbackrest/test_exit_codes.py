"""What pgBackRest says when it fails -> one line that says what to do. Texts as seen from 2.45 and 2.55."""

from __future__ import annotations

import pytest

from ops_platform.clients.pgbackrest.exit_codes import explain

REFUSED = """ERROR: [039]: unable to load info file '/r/backup.info' or '/r/backup.info.copy':
       ProtocolError: HTTP request failed with 403 (Forbidden):
       *** Path/Query ***:
       GET /backups/pgbackrest/backup/product/backup.info
       *** Request Headers ***:
       authorization: <redacted>
       *** Response Content ***:
       <?xml version="1.0" encoding="UTF-8"?>
       <Error><Code>{}</Code><Message>some words</Message></Error>
       HINT: has a stanza-create been performed?"""
BUSY = (
    "[ServiceError] unable to load info file '/x/backup/p/backup.info' or '/x/backup/p/backup.info.copy':\n"
    "      ServiceError: [429] Too Many Requests\n"
    "      HINT: backup.info cannot be opened and is required to perform a backup.\n"
    "      HINT: has a stanza-create been performed?"
)
GARBAGE = (
    "ERROR: [029]: unable to load info file '/p/backup.info' or '/p/backup.info.copy':\n"
    "       FormatError: key/value found outside of section at line 1: Salted__\x07\ufffd\x1b[31m\ufffd\n"
    "       HINT: has a stanza-create been performed?"
)


@pytest.mark.parametrize(
    ("code", "text", "said", "exit_code"),
    [
        (39, REFUSED.format("SignatureDoesNotMatch"), "correct OPS_S3_BACKUP_SECRET_ACCESS_KEY", 2),
        (39, REFUSED.format("InvalidAccessKeyId"), "correct OPS_S3_BACKUP_ACCESS_KEY_ID", 2),
        (39, REFUSED.format("AccessDenied"), "S3 denies access", 2),
        (39, REFUSED.format("NoSuchBucket"), "the bucket does not exist", 2),
        (39, REFUSED.format("AuthorizationHeaderMalformed"), "correct OPS_S3_REGION", 2),
        (39, REFUSED.format("RequestTimeTooSkewed"), "this machine's clock differs", 2),
        (101, "ERROR: [101]: [503] Service Unavailable", "S3 answers with error 503", 2),
        (101, BUSY, "S3 answers with error 429", 2),
        (29, GARBAGE, "cannot be decrypted: correct OPS_PGBACKREST_CIPHER_PASS", 2),
        (
            95,
            "ERROR: [095]: unable to find hostname '127.0.0.1' in certificate common name or subject "
            "alternative names\n       HINT: is or was the repo encrypted?",
            "certificate of S3 is not for 127.0.0.1",
            2,
        ),
        (
            95,
            "unable to verify certificate presented by 'h:9': [20] unable to get local issuer certificate",
            "set OPS_CA_FILE",
            2,
        ),
        (
            49,
            "unable to connect to '127.0.0.1:9': [111] Connection refused",
            "127.0.0.1:9 cannot be reached",
            2,
        ),
        (
            49,
            "unable to get address for 's3.invalid': [-2] Name or service not known",
            "cannot be resolved",
            2,
        ),
        (47, "unable to write '/x/spool/f': [28] No space left on device", "the disk is full", 2),
        (55, "backup.info cannot be opened\n HINT: has a stanza-create been performed?", "does not exist", 1),
        (50, "unable to acquire lock on file '/l': Resource temporarily unavailable", "holds the lock", 1),
        (
            51,
            "PostgreSQL version 15, system-id 1 do not match stanza version 15, system-id 2",
            "another cluster",
            2,
        ),
        (56, "unable to find primary cluster - cannot proceed", "cannot connect to PostgreSQL", 2),
        (62, "stop file exists for stanza product", "run 'pgbackrest start'", 2),
        (63, "", "it was told to stop", 1),
        (
            82,
            "WAL segment 000000010000000000000003 was not archived before the 60000ms timeout",
            "archive_command",
            1,
        ),
        (
            125,
            "ERROR: [125]: something quite new\n       HINT: x",
            "failed with code 125: something quite new",
            1,
        ),
        (1, "", "it said nothing; look at its log", 1),
        (-9, "", "was killed by signal 9", 1),
    ],
)
def test_one_line_that_says_what_to_do(code: int, text: str, said: str, exit_code: int) -> None:
    error = explain("backup", "product", code, text)
    assert said in str(error)
    assert str(error).startswith("pgBackRest backup of stanza product")
    assert str(error).isprintable()
    assert "Salted__" not in str(error)
    assert error.exit_code == exit_code


@pytest.mark.parametrize(
    ("warning", "said", "code"),
    [
        (
            "WARN: repo1: [HostConnectError] unable to load info file '/p/backup.info' or '/p':\n"
            "       HostConnectError: unable to connect to '127.0.0.1:9': [111] Connection refused\n"
            "       HINT: has a stanza-create been performed?",
            "127.0.0.1:9 cannot be reached",
            49,
        ),
        ("WARN: repo1: [FileMissingError] unable to open missing file", "no set fits", 75),
        ("", "no set fits", 75),
    ],
)
def test_a_repository_that_cannot_be_read_is_no_missing_set(warning: str, said: str, code: int) -> None:
    error = explain("restore", "product", 75, "ERROR: [075]: backup set X is not valid", warning)
    assert said in str(error)
    assert error.code == code
