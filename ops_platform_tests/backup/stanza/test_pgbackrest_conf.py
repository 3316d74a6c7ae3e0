"""pgBackRest's configuration: complete, escaped, private, written whole or not at all."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.pgbackrest_conf import PgBackRestPaths, place, render, write
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings, load_settings

ENVIRON = {
    "OPS_STATE_DIR": "/state",
    "OPS_S3_ENDPOINT_URL": "https://s3.example:9000",
    "OPS_S3_REGION": "eu-central-1",
    "OPS_S3_BACKUP_ACCESS_KEY_ID": "key",
    "OPS_S3_BACKUP_SECRET_ACCESS_KEY": "secret",
    "OPS_S3_BACKUP_READER_ACCESS_KEY_ID": "reader",
    "OPS_S3_BACKUP_READER_SECRET_ACCESS_KEY": "reader-secret",
    "PGBACKREST_REPO1_S3_BUCKET": "backups",
    "OPS_PGBACKREST_CIPHER_PASS": "pass",
    "OPS_CA_FILE": "/state/tls/ca.pem",
    "OPS_PRODUCT_DATA_DIR": "/pg/product",
    "OPS_PRODUCT_SOCKET_DIR": "/run/product",
    "OPS_PRODUCT_PORT": "5433",
    "OPS_OPS_DATA_DIR": "/pg/ops",
    "OPS_OPS_SOCKET_DIR": "/run/ops",
    "OPS_OPS_PORT": "5434",
}
PATHS = PgBackRestPaths.below(Path("/state/pgbackrest"))


def settings(**changes: str) -> Settings:
    return load_settings({name: value for name, value in {**ENVIRON, **changes}.items() if value})


def rendered(given: Settings, role: str = "backup") -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string(render(given, load_backups(given), PATHS, role=role))
    return parser


def test_it_says_what_was_promised() -> None:
    found = rendered(settings())
    assert found.sections() == ["global", "global:backup", "product", "ops"]
    everywhere, product = found["global"], found["product"]
    assert everywhere["repo1-s3-bucket"] == "backups"
    assert everywhere["repo1-s3-endpoint"] == "https://s3.example:9000"
    assert everywhere["repo1-storage-ca-file"] == "/state/tls/ca.pem"
    assert (everywhere["archive-async"], everywhere["expire-auto"]) == ("y", "n")
    assert (product["pg1-path"], product["pg1-socket-path"], product["pg1-port"]) == (
        "/pg/product",
        "/run/product",
        "5433",
    )
    assert (product["compress-type"], product["compress-level"], product["process-max"]) == ("lz4", "6", "4")
    assert (product["repo1-cipher-type"], product["repo1-cipher-pass"]) == ("aes-256-cbc", "pass")
    assert (product["repo1-retention-full-type"], product["repo1-retention-full"]) == ("time", "35")
    assert product["repo1-bundle"] == "y"
    # It drops WAL and reports success.
    assert "archive-push-queue-max" not in everywhere


def test_the_reader_has_an_identity_of_its_own() -> None:
    found = rendered(settings(), "backup_reader")["global"]
    assert (found["repo1-s3-key"], found["repo1-s3-key-secret"]) == ("reader", "reader-secret")


def test_without_a_key_the_identity_is_the_hosts() -> None:
    found = rendered(settings(OPS_S3_BACKUP_ACCESS_KEY_ID="", OPS_S3_ENDPOINT_URL=""))["global"]
    assert found["repo1-s3-key-type"] == "auto"
    assert "repo1-s3-key" not in found
    assert found["repo1-s3-endpoint"] == "s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("OPS_PGBACKREST_CIPHER_PASS", "OPS_PGBACKREST_CIPHER_PASS is not set"),
        ("OPS_S3_BACKUP_SECRET_ACCESS_KEY", "OPS_S3_BACKUP_SECRET_ACCESS_KEY is not set"),
        ("PGBACKREST_REPO1_S3_BUCKET", "set OPS_S3_BACKUP_BUCKET"),
        (
            "OPS_PRODUCT_DATA_DIR",
            "stanzas.product.data_path: environment variable OPS_PRODUCT_DATA_DIR is not",
        ),
    ],
)
def test_what_is_missing_is_named(missing: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        rendered(settings(**{missing: ""}))


@given(st.text(min_size=1))
def test_a_value_is_one_option_or_refused(value: str) -> None:
    """No value can add an option, whatever characters it has."""
    given_settings = settings(OPS_PGBACKREST_CIPHER_PASS=value)
    try:
        text = render(given_settings, load_backups(given_settings), PATHS)
    except ConfigurationError:
        return
    # pgBackRest splits at line feeds only.
    assert text.split("\n").count(f"repo1-cipher-pass={value}") == 2
    assert len(text.split("\n")) == len(render(settings(), load_backups(settings()), PATHS).split("\n"))


def test_a_refused_secret_is_not_repeated() -> None:
    given_settings = settings(OPS_PGBACKREST_CIPHER_PASS="half of it\nand more")
    with pytest.raises(ConfigurationError, match="repo1-cipher-pass") as caught:
        render(given_settings, load_backups(given_settings), PATHS)
    assert "half of it" not in str(caught.value)


def test_the_file_is_private_and_written_once(tmp_path: Path) -> None:
    path = tmp_path / "pgbackrest.conf"
    assert write(path, "one", None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not write(path, "one", None)
    path.chmod(0o644)
    assert write(path, "one", None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert write(path, "two", None)
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pgbackrest.conf"
    write(path, "one", None)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match=r"cannot be written .No space left on device.: free space"):
        write(path, "two", None)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_another_text_is_placed_beside(tmp_path: Path) -> None:
    path = tmp_path / "pgbackrest.conf"
    assert place(path, "one", None) == path
    beside = place(path, "two", None)
    assert beside != path
    assert (path.read_text(), beside.read_text()) == ("one", "two")
    assert place(path, "two", None) == beside
    assert place(path, "one", None) == path
