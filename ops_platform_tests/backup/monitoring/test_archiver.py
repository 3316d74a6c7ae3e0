"""The server's word on its archiving against the repository: settings, what is lost, who else archives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_platform.agent.metrics import ArchivingState
from ops_platform.backup.monitoring import archiver
from ops_platform.backup.monitoring.archiver import ArchiveEnd, Archiver
from ops_platform.backup.wal import History, Segment
from ops_platform_tests.backup.shapes import GEOMETRY, archive

PUSH = "pgbackrest --config=/nowhere/pgbackrest.conf --stanza=product archive-push %p"


def name(number: int, timeline: int = 1) -> str:
    return GEOMETRY.name(Segment(timeline, number))


HEALTHY = Archiver(0, False, "on", PUSH, "", name(9), name(10))
END = ArchiveEnd.whole(archive(*range(3, 10)))


def test_a_server_that_archives_here_is_proved() -> None:
    assert archiver.all_faults(HEALTHY, END, HEALTHY, datetime.now(UTC)) == {}
    assert archiver.proved(HEALTHY, END)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"mode": "off", "command": "(disabled)"}, "off"),
        ({"command": ""}, "off"),
        ({"command": "/bin/true"}, "discards"),
        ({"command": "true"}, "discards"),
        ({"command": "/usr/bin/true %p"}, "discards"),
        ({"command": "exit 0"}, "discards"),
        ({"command": ":"}, "discards"),
        ({"command": "cd ."}, "discards"),
        ({"command": PUSH + " --archive-push-queue-max=1GB"}, "drops"),
    ],
)
def test_settings_that_lose_wal(change: dict[str, str], fault: str) -> None:
    assert list(archiver.configured_faults(replace(HEALTHY, **change))) == [fault]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"command": "/usr/local/bin/archive %p %f"},
        {"command": "true && /usr/local/bin/archive %p"},
        {"command": "test -d /archive && pgbackrest archive-push %p"},
        {"command": "", "library": "basic_archive"},
        {"mode": "always"},
    ],
)
def test_settings_that_may_well_store_it(change: dict[str, str]) -> None:
    assert archiver.configured_faults(replace(HEALTHY, **change)) == {}  # type: ignore[arg-type]


def test_the_queue_s_limit_is_found_in_the_configuration_that_the_command_names(tmp_path: Path) -> None:
    file = tmp_path / "pgbackrest.conf"
    server = replace(HEALTHY, command=f"pgbackrest --config={file} archive-push %p")
    file.write_text("[global]\n# archive-push-queue-max=1GB\n")
    assert archiver.configured_faults(server) == {}
    file.write_text("[global]\narchive-push-queue-max=1GB\n")
    assert list(archiver.configured_faults(server)) == ["drops"]


@pytest.mark.parametrize("file", [name(9), f"{name(9)}.00000028.backup"])
def test_a_file_that_is_there_is_found(file: str) -> None:
    assert archiver.unstored(replace(HEALTHY, last_archived_wal=file), END) is None


@pytest.mark.parametrize("file", [name(10), name(5000), name(9, 2), "00000002.history"])
def test_a_file_that_is_not_there_is_named(file: str) -> None:
    said = archiver.unstored(replace(HEALTHY, last_archived_wal=file), END)
    assert said is not None
    assert file in said


def test_a_history_file_that_is_there_is_found() -> None:
    end = replace(END, histories=frozenset({2}))
    assert end.holds("00000002.history") is True


@pytest.mark.parametrize("file", [None, f"{name(9)}.partial"])
def test_what_cannot_be_compared_is_no_fault_and_no_proof(file: str | None) -> None:
    server = replace(HEALTHY, last_archived_wal=file)
    assert archiver.all_faults(server, END, server, datetime.now(UTC)) == {}
    assert not archiver.proved(server, END)
    assert not archiver.proved(None, END)
    assert not archiver.proved(server, None)


def test_a_folder_that_was_not_listed_tells_nothing() -> None:
    end = replace(END, since="00000001")
    assert end.holds(name(3)) is None
    assert end.holds(name(256)) is False


def test_another_cluster_that_is_ahead_is_told() -> None:
    ahead = ArchiveEnd.whole(archive(*range(3, 13)))
    said = archiver.foreign(ahead, HEALTHY)
    assert said is not None
    assert name(12) in said
    assert archiver.foreign(ahead, replace(HEALTHY, writes=name(12))) is None
    assert archiver.foreign(ahead, replace(HEALTHY, writes=None)) is None


def test_another_cluster_on_a_newer_timeline_is_told() -> None:
    forked = ArchiveEnd.whole(
        archive(*range(3, 10), histories={2: History(2, ((1, GEOMETRY.start(8)),))}, more=[Segment(2, 8)])
    )
    assert "timeline 2" in str(archiver.foreign(forked, HEALTHY))
    # The server itself went on there: what timeline 1 holds behind the branch is only left behind.
    assert archiver.foreign(forked, replace(HEALTHY, writes=name(8, 2))) is None


def test_what_arrives_between_the_two_looks_is_no_fault() -> None:
    state = ArchivingState(60)
    state.server_seen(HEALTHY)
    state.archive_seen(END, HEALTHY)
    state.server_seen(replace(HEALTHY, last_archived_wal=name(11), writes=name(12)))
    found = {fault: present.get() for fault, present in state.faults.items()}
    assert found == dict.fromkeys(found, False)


def test_each_look_tells_what_the_other_saw_before() -> None:
    state = ArchivingState(60)
    state.archive_seen(ArchiveEnd.whole(archive(*range(3, 15))), replace(HEALTHY, last_archived_wal=name(20)))
    assert state.faults["elsewhere"].get() is True
    assert state.faults["foreign"].get() is None
    state.server_seen(HEALTHY)
    assert state.faults["foreign"].get() is True
    state.archive_seen(END, None)
    assert state.faults["elsewhere"].get() is None
