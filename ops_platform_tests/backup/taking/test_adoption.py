"""Servers get a configuration that was proved: none waits for a repository that they have already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ops_platform.backup.stanza.context import BackupContext, adopt_configuration, open_context
from ops_platform.backup.stanza.server_file import ServerFile
from ops_platform.backup.taking import adoption, preflight
from ops_platform.clients.pgbackrest.command import PgBackRestError
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError, Unavailable
from ops_platform_tests.backup.shapes import two_repositories

AWAY = Unavailable("S3 at far:443 cannot be reached")
REFUSES = PgBackRestError("S3 denies access: correct OPS_REPO2_S3_BACKUP_ACCESS_KEY_ID", 29)


@pytest.fixture(autouse=True)
def without_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.chown", lambda *_: None)


class Servers:
    """Two servers that archive with one file, and what is created in their repositories."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.created: list[str] = []
        self.said: list[str] = []
        self.faults: dict[str, OpsError] = {}
        for name in ("product", "ops"):
            (directory / name).mkdir()

    def open(self, stanza: str = "product", **changes: str) -> BackupContext:
        homes = {f"OPS_{name.upper()}_DATA_DIR": str(self.directory / name) for name in ("product", "ops")}
        return open_context(two_repositories(self.directory, **{**homes, **changes}), stanza)

    def ensure(self, ctx: BackupContext) -> None:
        name = ctx.stanza.name
        if name in self.faults:
            raise self.faults[name]
        self.created.append(name)

    def bring(self, ctx: BackupContext, *, is_failing: bool = False) -> None:
        self.created, self.said = [], []
        adoption.bring_up_to_date(ctx, self.ensure, self.said.append, is_failing=is_failing)

    def archive_into_both(self) -> None:
        assert adopt_configuration(self.open())

    @property
    def file(self) -> ServerFile:
        return ServerFile.read(self.directory / "pgbackrest" / "pgbackrest.conf")


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    return Servers(tmp_path)


@pytest.mark.parametrize(
    ("stanza", "others"),
    [
        ("product", ["product@offsite", "ops@offsite"]),
        ("product@offsite", ["product", "ops@offsite"]),
        ("ops", ["product@offsite", "ops@offsite"]),
    ],
)
def test_a_new_repository_gets_the_stanza_of_each_server_first(
    servers: Servers, stanza: str, others: list[str]
) -> None:
    ctx = servers.open(stanza)
    servers.bring(ctx)
    assert set(servers.created) - {"product"} == set(others) - {"product"}
    assert servers.file.place(2) == ("s3.eu-north-1.amazonaws.com", "far", "/pgbackrest")
    servers.bring(ctx)
    assert servers.created == [], "it is adopted"


@pytest.mark.parametrize("lacking", ["product@offsite", "ops@offsite"])
@pytest.mark.parametrize("error", [AWAY, REFUSES])
def test_a_new_repository_that_lacks_one_is_archived_into_by_none(
    servers: Servers, lacking: str, error: OpsError
) -> None:
    servers.faults[lacking] = error
    servers.bring(servers.open())
    assert servers.file.place(2) is None
    assert any("archives as before" in line and str(error) in line for line in servers.said)
    # A backup into it would wait for WAL that does not come.
    servers.faults = {"ops@offsite": error}
    with pytest.raises(CheckFailed, match="archives into the repository offsite before each"):
        servers.bring(servers.open("product@offsite"))
    servers.faults = {}
    servers.bring(servers.open())
    assert servers.file.place(2) is not None


def test_the_cluster_of_another_host_holds_nothing_up(servers: Servers) -> None:
    (servers.directory / "ops").rmdir()
    servers.bring(servers.open())
    assert servers.created == ["product@offsite"]
    assert servers.file.place(2) is not None


@pytest.mark.parametrize("error", [AWAY, REFUSES])
def test_new_keys_of_the_first_do_not_wait_for_the_second(servers: Servers, error: OpsError) -> None:
    servers.archive_into_both()
    servers.faults = {"product@offsite": error, "ops@offsite": error}
    servers.bring(servers.open(OPS_S3_BACKUP_ACCESS_KEY_ID="new", OPS_S3_BACKUP_SECRET_ACCESS_KEY="new"))
    everywhere = servers.file.sections["global"]
    assert (everywhere["repo1-s3-key"], everywhere["repo2-s3-key"]) == ("new", "key-2")


def test_nor_for_one_that_was_never_reached(servers: Servers) -> None:
    servers.open()
    servers.faults = {"product@offsite": AWAY}
    servers.bring(servers.open(OPS_S3_BACKUP_ACCESS_KEY_ID="new", OPS_S3_BACKUP_SECRET_ACCESS_KEY="new"))
    assert servers.file.sections["global"]["repo1-s3-key"] == "new"
    assert servers.file.place(2) is None


@pytest.mark.parametrize(("error", "adopted"), [(None, True), (AWAY, True), (REFUSES, False)])
def test_new_keys_that_the_second_refuses_are_not_adopted(
    servers: Servers, error: OpsError | None, adopted: bool
) -> None:
    servers.archive_into_both()
    servers.faults = {} if error is None else {"product@offsite": error}
    servers.bring(servers.open(OPS_REPO2_S3_BACKUP_ACCESS_KEY_ID="new"))
    assert (servers.file.sections["global"]["repo2-s3-key"] == "new") == adopted


def test_missing_secrets_of_the_second_keep_the_file_and_the_backup(servers: Servers) -> None:
    servers.archive_into_both()
    before = servers.file
    servers.bring(servers.open(OPS_REPO2_PGBACKREST_CIPHER_PASS=""))
    assert servers.file == before
    assert "OPS_REPO2_PGBACKREST_CIPHER_PASS is not set" in servers.said[0]


def test_a_server_that_cannot_archive_gets_the_stanza_that_it_lacks(servers: Servers) -> None:
    servers.archive_into_both()
    servers.bring(servers.open("ops"))
    assert servers.created == []
    servers.bring(servers.open("ops"), is_failing=True)
    assert servers.created == ["ops@offsite"]
    servers.faults["ops@offsite"] = AWAY
    servers.bring(servers.open("ops"), is_failing=True)
    assert servers.said == [f"WARNING: whether stanza ops@offsite is in its repository is unknown: {AWAY}"]


def test_two_repositories_of_one_passphrase_are_not_made(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def unlocked(ctx: BackupContext, command: Callable[[], object], done: str) -> None:
        made.append(ctx.stanza.name)

    monkeypatch.setattr(preflight, "unlocked", unlocked)
    preflight.create_stanza(servers.open("product@offsite"))
    assert made == ["product@offsite"]
    with pytest.raises(ConfigurationError, match="are the same: give the new repository") as caught:
        preflight.create_stanza(servers.open("product@offsite", OPS_REPO2_PGBACKREST_CIPHER_PASS="pass"))
    assert "pass:" not in str(caught.value)
