"""The four small files of a real repository: kept, lost, called so, refused to be made anew, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops_platform.agent.loops.index_watch import IndexWatch
from ops_platform.agent.metrics import IndexState
from ops_platform.backup.monitoring import accounts, health
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.repository import KeptIndex, StoredFiles, index_files, repair
from ops_platform.backup.stanza import BackupContext, Kind, open_context
from ops_platform.backup.taking import execution
from ops_platform.clients.child_process import Launcher
from ops_platform.clients.pgbackrest import PgBackRestError
from ops_platform.errors import CheckFailed, OpsError
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.backup.site import Site, silent, take

pytestmark = [pytest.mark.services, pytest.mark.full]

GONE = r"the repository's index {} is gone: do not take a backup; restore it with"


@dataclass(frozen=True)
class Scene:
    """A backed-up site, and its index files as the tests find and damage them."""

    site: Site
    stored: StoredFiles

    @property
    def context(self) -> BackupContext:
        return self.site.context

    @property
    def paths(self) -> list[str]:
        layout = self.context.pgbackrest.layout
        return [
            path + ending for path in (layout.backup_info, layout.archive_info) for ending in ("", ".copy")
        ]

    def bodies(self) -> list[bytes | None]:
        return [self.stored.get(path) for path in self.paths]

    def lose(self, *numbers: int) -> None:
        for number in numbers:
            self.stored.delete(self.paths[number])

    def mend(self, *, dry_run: bool = False, context: BackupContext | None = None) -> list[str]:
        done = repair.repair(context or self.context, dry_run=dry_run, log=silent)
        return [f"{step.path.rpartition('/')[2]} {step.fault} {step.source[:11]}" for step in done]

    def agent_sees(self) -> tuple[bool | None, int | None, bool | None]:
        state = IndexState(60)
        IndexWatch(lambda: self.context, state).step()
        return state.lost.get(), state.damaged_files.get(), state.kept.get()


@pytest.fixture(scope="module")
def indexed(make_site: Callable[..., Site]) -> Site:
    site = make_site()
    take(site, "full")
    return site


@pytest.fixture
def scene(indexed: Site) -> Iterator[Scene]:
    """The site with its four files, which come back afterwards whatever a test did."""
    made = Scene(indexed, StoredFiles.open(indexed.context))
    before = made.bodies()
    assert None not in before
    yield made
    if made.mend(dry_run=True):
        for path, body in zip(made.paths, before, strict=True):
            assert body is not None
            made.stored.put(path, body)


def refused(scene: Scene, kind: Kind) -> str:
    with pytest.raises(OpsError) as caught:
        execution.run_backup(scene.context, scene.site.request(kind), silent, silent)
    return str(caught.value)


def test_a_backup_keeps_the_index_raw_and_locked(scene: Scene) -> None:
    kept = KeptIndex.open(scene.context.settings, scene.site.name)
    for name, body in zip(("backup.info", "archive.info"), scene.bodies()[::2], strict=True):
        newest = kept.versions(name)[0]
        assert kept.read(newest) == body
        assert newest.version_id is not None
        retention = kept.ledger.retention(newest.key, newest.version_id)
        assert retention is not None
        assert retention.mode == "COMPLIANCE"
    # Asked again, it writes nothing; so does a month later but once.
    pairs = index_files.look(scene.context)
    assert kept.keep(pairs, datetime.now(UTC)) == []
    assert scene.agent_sees() == (False, 0, True)


def test_good_files_are_never_written_over(scene: Scene) -> None:
    before = scene.bodies()
    assert scene.mend() == []
    assert scene.bodies() == before


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_one_of_a_pair_comes_back_from_its_twin(scene: Scene, number: int) -> None:
    before = scene.bodies()
    scene.lose(number)
    assert scene.agent_sees() == (False, 1, True)
    assert len(scene.mend()) == 1
    assert scene.bodies() == before


def test_all_four_lost_are_called_so_refused_and_put_back(scene: Scene) -> None:
    before = scene.bodies()
    scene.lose(0, 1, 2, 3)
    assert scene.agent_sees() == (True, 4, False)
    with pytest.raises(PgBackRestError, match=GONE.format("backup.info")):
        stanza_status(scene.context)
    for verdict in health.examine(scene.context, datetime.now(UTC)):
        assert not verdict.passed
        assert "backup.info is gone: do not take a backup" in verdict.summary
    for kind in ("full", "incremental"):
        assert "backup.info is gone: do not take a backup" in refused(scene, kind)
    assert scene.bodies() == [None] * 4

    planned = scene.mend(dry_run=True)
    assert planned == [
        f"{name} lost the version"
        for name in ("backup.info", "backup.info.copy", "archive.info", "archive.info.copy")
    ]
    assert scene.bodies() == [None] * 4
    assert scene.mend() == planned
    assert scene.bodies() == before
    assert scene.agent_sees() == (False, 0, True)
    take(scene.site, "incremental")
    failed = [
        verdict.summary for verdict in health.examine(scene.context, datetime.now(UTC)) if not verdict.passed
    ]
    assert not [summary for summary in failed if "gone" in summary]
    restored = restore(scene)
    assert (restored / "PG_VERSION").is_file()


def restore(scene: Scene) -> Path:
    """The newest set, into an empty directory beside the cluster's own."""
    target, pgbackrest = scene.site.cluster.data_dir.with_name("restored"), scene.context.pgbackrest
    target.mkdir(mode=0o700)
    scene.site.cluster.account.own(target)
    command = [pgbackrest.binary, f"--config={pgbackrest.config_file}", f"--stanza={pgbackrest.stanza}"]
    ended = Launcher(pgbackrest.run_as, pgbackrest.environment).run(
        [*command, "restore", f"--pg1-path={target}", "--archive-mode=off"], timeout=120
    )
    assert ended.code == 0, ended.stderr
    return target


def test_a_lost_archive_info_is_called_so(scene: Scene) -> None:
    scene.lose(2, 3)
    assert scene.agent_sees() == (True, 2, False)
    with pytest.raises(PgBackRestError, match=GONE.format("archive.info")):
        stanza_status(scene.context)
    assert "archive.info is gone" in refused(scene, "full")
    assert len(scene.mend()) == 2
    stanza_status(scene.context)


@pytest.mark.parametrize("body", [b"", b"Salted__", b"garbage" * 100])
def test_broken_files_are_put_back(scene: Scene, body: bytes) -> None:
    before = scene.bodies()
    for path in scene.paths[:2]:
        scene.stored.put(path, body)
    assert scene.agent_sees() == (True, 2, False)
    assert scene.mend() == ["backup.info broken the version", "backup.info.copy broken the version"]
    assert scene.bodies() == before


def test_a_wrong_passphrase_changes_nothing(scene: Scene) -> None:
    before, settings = scene.bodies(), scene.context.settings
    pgbackrest = settings.pgbackrest.model_copy(update={"cipher_pass": SecretStr("another")})
    context = open_context(settings.model_copy(update={"pgbackrest": pgbackrest}), scene.site.name)
    with pytest.raises(CheckFailed, match=r"cannot be decrypted: correct OPS_PGBACKREST_CIPHER_PASS"):
        scene.mend(context=context)
    assert scene.bodies() == before


def test_a_lost_manifest_comes_back_from_its_copy(scene: Scene) -> None:
    path = scene.context.pgbackrest.layout.manifest(scene.site.labels()[0])
    body = scene.stored.get(path)
    scene.stored.delete(path)
    assert "would become a full" in refused(scene, "incremental")
    assert scene.mend() == ["backup.manifest lost its copy"]
    assert scene.stored.get(path) == body


def test_an_empty_repository_is_not_filled_anew(scene: Scene, object_store: ObjectStoreServer) -> None:
    """The last test: the site's repository is gone afterwards."""
    client, bucket = object_store.client("backup"), object_store.bucket("backup")
    kept = {}
    for folder in ("archive", "backup"):
        prefix = f"pgbackrest/{folder}/{scene.site.name}/"
        for entry in client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            key = entry["Key"]
            kept[key] = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            client.delete_object(Bucket=bucket, Key=key)
    try:
        assert "holds nothing of stanza" in refused(scene, "full")
        told = stanza_status(scene.context)
        assert told["lost_sets"]
        assert not any("there is no backup yet" in note for note in told["notes"])
        request = replace(scene.site.request("full"), allow_promotion=True)
        report = execution.run_backup(scene.context, request, silent, silent)
        assert report.backup_set.kind == "full"
        # As the runbooks say it of a repository that was moved: then nothing is left that fires.
        acknowledged = accounts.acknowledge(scene.context, "repository moved", "test")
        assert set(acknowledged.lost or ()) == set(told["lost_sets"])
        told = stanza_status(scene.context)
        assert (told["lost_sets"], told["window_is_short"], told["wal_gap_segments"]) == ([], False, 0)
    finally:
        for key, body in kept.items():
            client.put_object(Bucket=bucket, Key=key, Body=body)
