"""pgBackRest's configuration: complete, escaped, private, written whole or not at all."""

from __future__ import annotations

import configparser
import functools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.context import adopt_configuration, open_context
from ops_platform.backup.stanza.model import BackupConfig
from ops_platform.backup.stanza.pgbackrest_conf import PgBackRestPaths, place, render, write
from ops_platform.errors import ConfigurationError
from ops_platform.settings import Settings, load_settings, named_for
from ops_platform_tests.backup.shapes import ENVIRON, two_repositories

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


@functools.cache
def with_a_sound_passphrase() -> tuple[BackupConfig, int]:
    """What is backed up, and the number of lines of its configuration."""
    backups = load_backups(settings())
    return backups, len(render(settings(), backups, PATHS).split("\n"))


@given(st.text(min_size=1))
def test_a_value_is_one_option_or_refused(value: str) -> None:
    """No value can add an option, whatever characters it has."""
    backups, healthy = with_a_sound_passphrase()
    try:
        text = render(settings(OPS_PGBACKREST_CIPHER_PASS=value), backups, PATHS)
    except ConfigurationError:
        return
    # pgBackRest splits at line feeds only.
    assert text.split("\n").count(f"repo1-cipher-pass={value}") == 2
    assert len(text.split("\n")) == healthy


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


def configuration(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


@pytest.fixture
def without_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.chown", lambda *_: None)


@pytest.mark.usefixtures("without_owner")
def test_servers_archive_into_both_and_all_else_works_on_one(tmp_path: Path) -> None:
    given_settings = two_repositories(tmp_path)
    first, second = (open_context(given_settings, name) for name in ("product", "product@offsite"))
    assert (first.pgbackrest.stanza, second.pgbackrest.stanza) == ("product", "product")
    # Nobody can archive into the second one before its stanza is made.
    assert "repo2-type" not in configuration(first.paths.config_file)["global"]
    assert first.configuration == second.configuration
    assert adopt_configuration(second)
    server, own = configuration(first.paths.config_file), configuration(second.pgbackrest.config_file)
    everywhere, product = server["global"], server["product"]
    assert [everywhere[f"repo{number}-s3-bucket"] for number in (1, 2)] == ["backups", "far"]
    assert everywhere["repo2-s3-endpoint"] == "s3.eu-north-1.amazonaws.com"
    # Its certificate is not of the first one's authority.
    assert "repo2-storage-ca-file" not in everywhere
    assert [everywhere[f"repo{number}-s3-key"] for number in (1, 2)] == ["key", "key-2"]
    assert [product[f"repo{number}-cipher-pass"] for number in (1, 2)] == ["pass", "pass-2"]
    assert [product[f"repo{number}-retention-full"] for number in (1, 2)] == ["35", "90"]
    assert int(server["global:archive-push"]["io-timeout"]) <= 10
    assert set(own.sections()) == {"global", "global:backup", "product", "ops"}
    assert (own["global"]["repo1-s3-bucket"], own["product"]["repo1-cipher-pass"]) == ("far", "pass-2")
    assert "repo2-type" not in own["global"]


@pytest.mark.usefixtures("without_owner")
def test_only_the_backups_are_elsewhere(tmp_path: Path) -> None:
    context = open_context(two_repositories(tmp_path), "product@offsite")
    assert context.settings.s3_place("backup_reader").region == "eu-north-1"
    assert context.settings.s3_place("ledger").region == "eu-central-1"
    assert context.repository_uri("x") == "s3://far/pgbackrest/backup/product/x"
    assert [other.stanza.name for other in context.in_other_repositories()] == ["product"]


@pytest.mark.usefixtures("without_owner")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"OPS_REPO2_S3_ENDPOINT_URL": "https://s3.example:9000"}, "primary and offsite are the same bucket"),
        ({"OPS_REPO2_S3_ENDPOINT_URL": "https://S3.example.:9000/"}, "primary and offsite are the same"),
        (
            {"OPS_S3_ENDPOINT_URL": "https://s3.example", "OPS_REPO2_S3_ENDPOINT_URL": "s3.example:443"},
            "primary and offsite are the same bucket",
        ),
        (
            {"OPS_S3_ENDPOINT_URL": "", "OPS_REPO2_S3_ENDPOINT_URL": "https://s3.eu-central-1.amazonaws.com"},
            "primary and offsite are the same bucket",
        ),
        ({"OPS_PGBACKREST_CONFIG_FILE": "/etc/own.conf"}, "OPS_PGBACKREST_CONFIG_FILE names a configuration"),
    ],
)
def test_one_place_is_not_two_repositories(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    given_settings = two_repositories(tmp_path, PGBACKREST_REPO2_S3_BUCKET="backups", **changes)
    with pytest.raises(ConfigurationError, match=message):
        open_context(given_settings, "product")


@pytest.mark.usefixtures("without_owner")
def test_an_endpoint_that_cannot_be_read_keeps_no_context_from_being_opened(tmp_path: Path) -> None:
    open_context(two_repositories(tmp_path, OPS_REPO2_S3_ENDPOINT_URL="https://far:nine"), "product")


@pytest.mark.usefixtures("without_owner")
@pytest.mark.parametrize(
    ("lacking", "its_own", "other"),
    [
        ("OPS_REPO2_PGBACKREST_CIPHER_PASS", "product@offsite", "product"),
        ("OPS_REPO2_S3_BACKUP_SECRET_ACCESS_KEY", "product@offsite", "product"),
        ("PGBACKREST_REPO2_S3_BUCKET", "product@offsite", "product"),
        ("OPS_PGBACKREST_CIPHER_PASS", "product", "product@offsite"),
        ("OPS_S3_BACKUP_SECRET_ACCESS_KEY", "product", "product@offsite"),
    ],
)
def test_work_on_one_repository_needs_no_secret_of_the_other(
    tmp_path: Path, lacking: str, its_own: str, other: str
) -> None:
    given_settings = two_repositories(tmp_path, **{lacking: ""})
    with pytest.raises(ConfigurationError, match=f"{lacking} is not set"):
        open_context(given_settings, its_own)
    # In an emergency the safe of the other one may be out of reach.
    context = open_context(given_settings, other)
    assert context.pgbackrest.config_file.exists()
    with pytest.raises(ConfigurationError, match=f"{lacking} is not set"):
        _ = context.configuration


def test_messages_name_the_second_repositorys_settings() -> None:
    text = "correct OPS_S3_ENDPOINT_URL, OPS_CA_FILE or OPS_PGBACKREST_CIPHER_PASS[_FILE]; OPS_S3_LEDGER_KEY"
    assert named_for(1, text) == text
    assert named_for(2, text) == (
        "correct OPS_REPO2_S3_ENDPOINT_URL, OPS_REPO2_CA_FILE or OPS_REPO2_PGBACKREST_CIPHER_PASS[_FILE]; "
        "OPS_S3_LEDGER_KEY"
    )
    assert named_for(2, "check OPS_S3_BACKUP_BUCKET") == "check the bucket of repository 2 in backups.yaml"


def test_each_process_keeps_the_repository_of_its_own_settings(tmp_path: Path) -> None:
    """A backup into a new path goes on there while the agent still runs with the old one."""
    paths = ("/old", "/new", "/old")
    files = []
    for path in paths:
        directory = tmp_path / path[1:]
        directory.mkdir(exist_ok=True)
        mine = two_repositories(directory).model_copy(
            update={"state_dir": tmp_path / "state", "run_as": None}
        )
        file = directory / "backups.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("path: /pgbackrest", f"path: {path}", 1), encoding="utf-8")
        files.append(open_context(mine, "product").pgbackrest.config_file)
    for path, file in zip(paths, files, strict=True):
        assert f"repo1-path={path}" in file.read_text(encoding="utf-8")
