"""What a reader of the archive lists, and that what it keeps is what a new one would see."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops_platform.backup.repository.archive_reader import PAGE, RELIST_SECONDS, ArchiveReader
from ops_platform.backup.repository.backup_sets import Database
from ops_platform.backup.repository.wal_archive import Archive
from ops_platform.backup.wal import Geometry, Segment, Written
from ops_platform.clients.pgbackrest import Layout, PgBackRest, StoredEntry
from ops_platform_tests import hypothesis_profile

DATABASE = Database(1, 7000, "15")
GEOMETRY = Geometry(1 << 30)
"""Four segments a folder."""
BASE = Layout("product").archive(DATABASE.archive_id)
START = 1_800_000_000.0


@dataclass(frozen=True)
class Shelf(PgBackRest):
    """A repository of file names; it counts what was asked for."""

    files: dict[str, StoredEntry] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, timeline: int, number: int, at: float = START) -> None:
        segment = Segment(timeline, number)
        name = f"{GEOMETRY.name(segment)}-{'0' * 40}.lz4"
        self.files[f"{GEOMETRY.folder(segment)}/{name}"] = StoredEntry(True, 8 << 20, int(at))

    def put_history(self, timeline: int, text: str, at: float = START) -> None:
        name = f"{timeline:08X}.history"
        self.files[name] = StoredEntry(True, len(text), int(at))
        self.texts[f"{BASE}/{name}"] = text

    def remove(self, timeline: int, number: int) -> None:
        segment = Segment(timeline, number)
        for path in [path for path in self.files if f"/{GEOMETRY.name(segment)}-" in path]:
            del self.files[path]

    def repo_ls(self, path: str, recurse: bool = False) -> dict[str, StoredEntry]:
        self.asked.append(f"ls {path.removeprefix(BASE)}{' all' if recurse else ''}")
        prefix = path.removeprefix(BASE).lstrip("/")
        inside = {
            name[len(prefix) :].lstrip("/"): entry
            for name, entry in self.files.items()
            if not prefix or name.startswith(f"{prefix}/")
        }
        if recurse:
            return inside
        return {
            name.partition("/")[0]: entry if "/" not in name else StoredEntry(False)
            for name, entry in inside.items()
        }

    def flat(self, folder: str, after: str) -> Iterator[tuple[str, int, int]]:
        """List as S3 does, a page of PAGE files a request."""
        assert folder == BASE
        self.asked.append(f"page {after}")
        for number, path in enumerate(sorted(path for path in self.files if path > after)):
            if number and number % PAGE == 0:
                self.asked.append(f"page {after}")
            yield path, self.files[path].size, self.files[path].time

    def repo_get(self, path: str) -> str:
        self.asked.append(f"get {path.removeprefix(BASE)}")
        return self.texts[path]


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


def shelf() -> Shelf:
    return Shelf("pgbackrest", Path("/nowhere"), "product")


def read(reader: ArchiveReader, **options: Any) -> Archive:
    return reader.read(DATABASE, GEOMETRY, **options)


def contents(archive: Archive) -> set[tuple[int, int]]:
    return {(archived.segment.timeline, archived.segment.number) for archived in archive.segments}


def test_a_look_lists_the_newest_folder_and_no_more() -> None:
    stored, clock = shelf(), Clock()
    for number in range(40):
        stored.put(1, number)
    reader = ArchiveReader(stored, clock=clock)
    read(reader)
    stored.asked.clear()
    stored.put(1, 40)
    assert (1, 40) in contents(read(reader))
    # The folder that was the newest before may have got its last segments since.
    assert stored.asked == ["ls ", "ls /0000000100000009", "ls /000000010000000A"]
    stored.asked.clear()
    stored.put(1, 41)
    clock.now += 60
    assert (1, 41) in contents(read(reader, names_age=90))
    assert stored.asked == ["ls /000000010000000A"]


def test_other_folders_are_listed_again_in_turn() -> None:
    """What somebody deletes is found; an abandoned timeline that grows is found sooner."""
    stored, clock = shelf(), Clock()
    for number in range(12):
        stored.put(1, number)
    stored.put_history(2, f"1\t{11 << 30 >> 32:X}/C0000000\tno recovery target specified\n")
    stored.put(2, 11)
    reader = ArchiveReader(stored, clock=clock)
    before = read(reader)
    assert before.lineage.living == 2
    stored.remove(1, 1)
    stored.put(1, 12)
    clock.now += RELIST_SECONDS + 1
    for _ in range(5):
        seen = read(reader)
        clock.now += 60
    assert contents(seen) == contents(before) - {(1, 1)} | {(1, 12)}
    assert seen.listed_since is not None
    assert seen.listed_since > datetime.fromtimestamp(START, UTC)


def test_every_folder_is_listed_again_within_six_hours_however_many_there_are() -> None:
    stored, clock = shelf(), Clock()
    for number in range(4 * 120):
        stored.put(1, number)
    reader = ArchiveReader(stored, clock=clock)
    read(reader)
    stored.asked.clear()
    oldest = []
    for _ in range(3 * 36):
        clock.now += 600
        seen = read(reader)
        assert seen.listed_since is not None
        oldest.append(clock.now - seen.listed_since.timestamp())
    assert max(oldest) <= RELIST_SECONDS + 600
    assert "ls  all" not in stored.asked
    assert len(stored.asked) < 3 * (120 + 36 * 2) + 10, "and no oftener"


def test_a_fault_is_seen_by_other_processes_as_soon_as_by_one(tmp_path: Path) -> None:
    stored, clock = shelf(), Clock()
    for number in range(12):
        stored.put(1, number)
    reader = ArchiveReader(stored, tmp_path, clock)
    assert read(reader).faults() == {}
    segment = Segment(1, 1)
    second = f"{GEOMETRY.folder(segment)}/{GEOMETRY.name(segment)}-{'1' * 40}.lz4"
    stored.files[second] = StoredEntry(True, 8 << 20, int(START))
    clock.now += RELIST_SECONDS - 60
    assert list(read(reader).faults()) == [GEOMETRY.name(segment)]
    assert list(read(ArchiveReader(stored, tmp_path, clock)).faults()) == [GEOMETRY.name(segment)]


def test_a_segment_that_arrives_late_closes_its_gap() -> None:
    stored = shelf()
    for number in range(20):
        if number != 5:
            stored.put(1, number)
    reader = ArchiveReader(stored)
    state = read(reader).state_from(GEOMETRY.name(Segment(1, 0)))
    assert state.gap_segments == 1
    stored.put(1, 5)
    assert read(reader, gaps=state.gaps).state_from(GEOMETRY.name(Segment(1, 0))).gap_segments == 0


def test_a_history_that_is_written_again_is_read_again() -> None:
    stored = shelf()
    stored.put(1, 3)
    stored.put(2, 4)
    stored.put_history(2, "1\t0/C0000000\tno recovery target specified\n")
    reader = ArchiveReader(stored)
    assert read(reader).lineage.history(2).begin == 0xC0000000
    read(reader)
    assert stored.asked.count("get /00000002.history") == 1
    stored.put_history(2, "1\t0/80000000\tno recovery target specified\n", START + 5)
    assert read(reader).lineage.history(2).begin == 0x80000000
    del stored.files["00000002.history"]
    assert 2 not in read(reader).histories


def test_another_process_lists_only_what_grows(tmp_path: Path) -> None:
    stored = shelf()
    for number in range(40):
        stored.put(1, number)
    clock = Clock()
    first = read(ArchiveReader(stored, tmp_path, clock))
    stored.asked.clear()
    second = read(ArchiveReader(stored, tmp_path, clock))
    assert stored.asked == ["ls ", "ls /0000000100000009"]
    assert contents(first) == contents(second)
    clock.now += RELIST_SECONDS + 1
    read(ArchiveReader(stored, tmp_path, clock))
    assert "ls  all" in stored.asked
    (tmp_path / "15-1" / "0000000100000002.json").write_text("{", encoding="ascii")
    assert contents(read(ArchiveReader(stored, tmp_path, clock))) == contents(first)


def test_a_kept_reader_sees_what_a_new_one_sees() -> None:
    """Segments arrive out of order, timelines begin, old WAL expires."""
    random_ = random.Random(11)
    for _ in range(hypothesis_profile.examples(20)):
        stored, clock = shelf(), Clock()
        timeline, number = 1, 3
        stored.put(1, 3)
        reader = ArchiveReader(stored, clock=clock)
        for _ in range(30):
            clock.now += 60
            choice = random_.random()
            if choice < 0.1:
                lsn = number << 30
                stored.put_history(
                    timeline + 1,
                    "".join(f"{one}\t{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}\tx\n" for one in [timeline]),
                )
                timeline += 1
            elif choice < 0.2 and number > 8:
                for old in range(4):
                    stored.remove(1, old)
            for _ in range(random_.randint(0, 6)):
                number += 1
                stored.put(timeline, number)
            kept, anew = read(reader), read(ArchiveReader(stored))
            assert contents(kept) == contents(anew)
            assert kept.ends() == anew.ends()
            assert kept.lineage == anew.lineage


def test_one_request_shows_the_newest_folder_and_all_behind_it() -> None:
    stored, clock = shelf(), Clock()
    for number in range(40):
        stored.put(1, number)
    reader = ArchiveReader(stored, clock=clock, flat=stored.flat)
    read(reader)
    stored.asked.clear()
    for number in range(40, 50):
        stored.put(1, number)
    stored.put_history(2, f"1\t{49 << 30 >> 32:X}/40000000\tx\n")
    stored.put(2, 49)
    clock.now += 60
    seen = read(reader, names_age=240)
    assert stored.asked == ["page 0000000100000008~", "get /00000002.history"]
    assert contents(seen) == contents(read(ArchiveReader(stored)))
    assert seen.lineage.living == 2
    stored.asked.clear()
    stored.remove(2, 49)
    clock.now += 60
    assert (2, 49) not in contents(read(reader, names_age=240)), "what is behind it and gone is not there"
    assert stored.asked == ["page 000000020000000B~"]


def test_a_reader_with_pages_sees_in_time_what_a_new_one_sees() -> None:
    random_ = random.Random(12)
    for _ in range(6):
        stored, clock = shelf(), Clock()
        timeline, number = 1, 3
        stored.put(1, 3)
        reader = ArchiveReader(stored, clock=clock, flat=stored.flat)
        for step in range(30):
            clock.now += 60
            if random_.random() < 0.1:
                lsn = number << 30
                stored.put_history(timeline + 1, f"{timeline}\t{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}\tx\n")
                timeline += 1
            elif step == 20:
                for old in range(4):
                    stored.remove(1, old)
            for _ in range(random_.randint(0, 6)):
                number += 1
                stored.put(timeline, number)
            kept, anew = read(reader, names_age=240), read(ArchiveReader(stored))
            assert contents(anew) <= contents(kept)
            assert kept.ends() == anew.ends()
            assert kept.lineage == anew.lineage
        clock.now += 240
        assert contents(read(reader, names_age=240)) == contents(read(ArchiveReader(stored)))


def test_pages_show_every_folder_again_within_six_hours() -> None:
    stored, clock = shelf(), Clock()
    for number in range(4 * 300):
        stored.put(1, number)
    reader = ArchiveReader(stored, clock=clock, flat=stored.flat)
    read(reader)
    stored.remove(1, 1000)
    stored.asked.clear()
    oldest = []
    for _ in range(2 * 36):
        clock.now += 600
        seen = read(reader, names_age=1e9)
        assert seen.listed_since is not None
        oldest.append(clock.now - seen.listed_since.timestamp())
    assert (1, 1000) not in contents(seen)
    assert max(oldest) <= RELIST_SECONDS + 600
    assert not [asked for asked in stored.asked if asked.startswith("ls")]
    assert len(stored.asked) < 2 * 36 + 2 * 8, "a page holds many folders"


def test_a_folder_of_more_than_a_page_is_listed_whole() -> None:
    small, stored, clock = Geometry(1 << 20), shelf(), Clock()
    for number in range(4096 + 10):
        name = small.name(Segment(1, number))
        stored.files[f"{name[:16]}/{name}-{'0' * 40}.lz4"] = StoredEntry(True, 8 << 10, 1)
    reader = ArchiveReader(stored, clock=clock, flat=stored.flat)
    assert len(reader.read(DATABASE, small).segments) == 4106
    gone = small.name(Segment(1, 3000))
    del stored.files[f"{gone[:16]}/{gone}-{'0' * 40}.lz4"]
    clock.now += RELIST_SECONDS + 1
    reader.read(DATABASE, small, names_age=1e9)
    assert len(reader.read(DATABASE, small, names_age=1e9).segments) == 4105


def test_the_timeline_that_the_server_writes_lives() -> None:
    stored = shelf()
    stored.put(1, 3)
    stored.put(2, 4)
    stored.put_history(2, "1\t0/C0000000\tx\n", START)
    reader = ArchiveReader(stored)

    def living(timeline: int, at: float) -> int:
        written = Written(timeline, datetime.fromtimestamp(at, UTC))
        return read(reader, written=written).lineage.living

    assert read(reader).lineage.living == 2
    assert living(1, START + 10) == 1, "a copy was promoted; the server goes on as before"
    assert living(1, START - 10) == 2, "an answer from before timeline 2 began says nothing"
    assert living(3, START + 10) == 2, "of timeline 3 nothing has arrived yet"


def test_a_restore_lists_from_its_set_on() -> None:
    stored = shelf()
    for number in range(400):
        stored.put(1, number, START + 60 * number)
    archive = ArchiveReader(stored).glance(DATABASE, GEOMETRY)
    assert archive.left_behind() == {}
    assert archive.has(Segment(1, 397))
    state = archive.state_from(GEOMETRY.name(Segment(1, 397)))
    assert state.newest == Segment(1, 399)
    assert archive.arrived_at(Segment(1, 399)) == datetime.fromtimestamp(START + 60 * 399, UTC)
    assert stored.asked == ["ls ", "ls /0000000100000063"]

    stored.asked.clear()
    target = datetime.fromtimestamp(START + 60 * 110, UTC)
    state = archive.state_from(GEOMETRY.name(Segment(1, 100)), until=target)
    assert state.gap_segments == 0
    assert state.newest is not None
    assert 110 < state.newest.number < 200
    assert len(stored.asked) < 22
    whole = archive.state_from(GEOMETRY.name(Segment(1, 100)))
    assert whole.newest == Segment(1, 399)
    assert "ls  all" in stored.asked, "many are listed in one go"


def test_an_lsn_needs_no_folder_behind_it() -> None:
    stored = shelf()
    for number in range(40):
        stored.put(1, number)
    archive = ArchiveReader(stored).glance(DATABASE, GEOMETRY)
    state = archive.state_from(GEOMETRY.name(Segment(1, 8)), until=GEOMETRY.start(10))
    assert state.contiguous_end == GEOMETRY.start(12)
    assert stored.asked == ["ls ", "ls /0000000100000002"]
