"""``ops-platform gdpr export`` on a database of which the platform knows nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from ops_platform.cli import cli
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.errors import ConfigurationError
from ops_platform.local.demo import people
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.local.servers.postgres_cluster import PostgresCluster

pytestmark = pytest.mark.services
ANNA = people.creator_id(3)


class Shell:
    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment, self.out = environment, directory / "made" / "here"

    def run(self, keys: str, *arguments: str) -> Result:
        asked = ["gdpr", "export", "--subject-file", "-", "--out", str(self.out), *arguments]
        return CliRunner().invoke(cli, asked, input=keys, env=self.environment)


@pytest.fixture
def shell(
    demo_cluster: PostgresCluster,
    object_store: ObjectStoreServer,
    media: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    for name in [name for name in os.environ if name.startswith("OPS_")]:
        monkeypatch.delenv(name)
    environment = {
        "OPS_STATE_DIR": str(tmp_path / "nothing"),
        "OPS_PRODUCT_DATABASE_URL": demo_cluster.url("ops_worker"),
        "OPS_CA_FILE": str(object_store.ca_file),
        "OPS_S3_ENDPOINT_URL": object_store.endpoint_url,
        **object_store.identity_environment("media"),
    }
    return Shell(environment, tmp_path)


def test_an_archive_for_each_subject_for_its_owner_alone(shell: Shell) -> None:
    done = shell.run(f"{ANNA}\n\n{uuid4()}\n{people.creator_id(4)}\n", "--json", "--language", "fr")
    assert done.exit_code == 1
    first, second, third = json.loads(done.output)
    assert second == {"subject": 2, "found": False}
    assert str(ANNA) not in done.output
    for number, one in ((1, first), (3, third)):
        file = Path(one["file"])
        assert file == shell.out / f"subject-{number}.zip"
        data = file.read_bytes()
        assert (one["bytes"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert file.stat().st_mode & 0o777 == 0o600
        manifest: dict[str, Any] = json.loads(zipfile.ZipFile(file).read("manifest.json"))
        assert manifest["request_id"] is None
    assert shell.out.stat().st_mode & 0o777 == 0o700
    assert {one.name for one in shell.out.iterdir()} == {"subject-1.zip", "subject-3.zip"}
    page = zipfile.ZipFile(first["file"]).read("index.html").decode()
    assert "Vos données" in page


def test_what_is_there_stays(shell: Shell) -> None:
    assert shell.run(str(ANNA)).exit_code == 0
    before = (shell.out / "subject-1.zip").read_bytes()
    again = shell.run(str(ANNA))
    assert "there already" in str(again.exception)
    assert (shell.out / "subject-1.zip").read_bytes() == before


def test_what_was_written_is_told_though_a_later_one_fails(shell: Shell) -> None:
    shell.out.mkdir(parents=True)
    (shell.out / "subject-2.zip").write_text("there")
    done = shell.run(f"{ANNA}\n{people.creator_id(4)}\n", "--json")
    assert isinstance(done.exception, ConfigurationError)
    assert [one["subject"] for one in json.loads(done.stdout)] == [1]


def test_without_buckets_only_when_told_so(shell: Shell) -> None:
    for name in [name for name in shell.environment if "S3" in name]:
        del shell.environment[name]
    refused = shell.run(str(ANNA))
    assert "OPS_S3_MEDIA_BUCKET" in str(refused.exception)
    assert list(shell.out.iterdir()) == []
    done = shell.run(str(ANNA), "--without-objects")
    assert done.exit_code == 0, done.output
    assert "subject-1.zip" in done.output
    names = zipfile.ZipFile(shell.out / "subject-1.zip").namelist()
    assert not [name for name in names if name.startswith("media/")]


def test_no_key_is_a_mistake(shell: Shell) -> None:
    assert "no key" in str(shell.run("\n").exception)


@pytest.mark.parametrize("keys", [b"\xff\xfe1\x00", b"\n \n"], ids=("another encoding", "empty"))
def test_a_subject_file_that_holds_no_keys_is_refused(shell: Shell, keys: bytes) -> None:
    asked = ["gdpr", "preview", "--subject-file", "-"]
    done = CliRunner().invoke(cli, asked, input=keys, env=shell.environment)
    assert isinstance(done.exception, ConfigurationError)
    assert str(done.exception).startswith("--subject-file ")


def test_a_mark_of_windows_editors_belongs_to_no_key(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"{ANNA}\r\n", encoding="utf-8-sig")
    asked = ["gdpr", "preview", "--json", "--subject-file", str(file)]
    done = CliRunner().invoke(cli, asked, env=shell.environment)
    assert done.exit_code == 0
