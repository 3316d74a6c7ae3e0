"""Which sets lack files, by their manifests and a listing; and that a look costs what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ops_platform.backup.monitoring import file_verdicts
from ops_platform.backup.proof.files_look import FilesLook
from ops_platform.clients.pgbackrest import PgBackRestError, StoredEntry
from ops_platform_tests.backup.proof.manifests import manifest
from ops_platform_tests.backup.shapes import entry, repository

FULL, OTHER = "20261101-000300F", "20261101-002000F"
INCR, LATER = f"{FULL}_20261101-001000I", f"{FULL}_20261101-001100I"
FILE = {"checksum": "aa", "rck": "ab", "size": 8192}
PACKED = {**FILE, "bni": 1, "repo-size": 100}
SINGLE = {**FILE, "repo-size": 999}
MANIFESTS = {
    FULL: manifest(FULL, {"pg_data/a": PACKED, "pg_data/b": {**PACKED, "bno": 100}, "pg_data/big": SINGLE}),
    # The one uses the bundle of the full, the other only its single file.
    INCR: manifest(INCR, {"pg_data/a": {**PACKED, "reference": FULL}, "pg_data/new": SINGLE}),
    LATER: manifest(LATER, {"pg_data/big": {**SINGLE, "reference": FULL}, "pg_data/newer": SINGLE}),
    OTHER: manifest(OTHER, {"pg_data/a": PACKED}),
}
SIZES = {
    f"{FULL}/bundle/1": 200,
    f"{FULL}/pg_data/big.lz4": 999,
    f"{INCR}/pg_data/new.lz4": 999,
    f"{LATER}/pg_data/newer.lz4": 999,
    f"{OTHER}/bundle/1": 100,
    **{f"{label}/backup.manifest{copy}": 500 for label in MANIFESTS for copy in ("", ".copy")},
}


@dataclass
class Stored:
    """A repository of these files, which counts what is asked of it."""

    stanza: str = "product"
    sizes: dict[str, int] = field(default_factory=lambda: dict(SIZES))
    texts: dict[str, str] = field(default_factory=lambda: dict(MANIFESTS))
    listed: int = 0
    read: int = 0

    def repo_ls(self, path: str, recurse: bool = False) -> dict[str, StoredEntry]:
        self.listed += 1
        below = path.removeprefix("backup/product").removeprefix("/")
        prefix = f"{below}/" if below else ""
        return {
            name.removeprefix(prefix): StoredEntry(True, size, 1)
            for name, size in self.sizes.items()
            if name.startswith(prefix)
        }

    def repo_get(self, path: str) -> str:
        self.read += 1
        return self.texts[path.split("/")[2]]


def look(stored: Any, memory: Path | None = None) -> dict[str, str]:
    return {label: faults.summary for label, faults in FilesLook(stored, memory).damaged(MANIFESTS).items()}


def test_whole_sets_lack_nothing_and_are_read_once(tmp_path: Path) -> None:
    stored = Stored()
    for _ in range(3):
        assert look(stored, tmp_path / "memory.json") == {}
    assert (stored.listed, stored.read) == (3, len(MANIFESTS))


def test_a_lost_bundle_damages_the_sets_that_use_it(tmp_path: Path) -> None:
    stored = Stored()
    look(stored, tmp_path / "memory.json")
    del stored.sizes[f"{FULL}/bundle/1"]
    missing = f"{FULL}/bundle/1 is missing"
    for _ in range(2):
        assert look(stored, tmp_path / "memory.json") == {FULL: missing, INCR: missing}
    assert stored.read == len(MANIFESTS) + 3, "only sets that use the folder are judged anew, and once"
    for label, lacks in ((FULL, 1), (INCR, 1), (LATER, 0)):
        assert FilesLook(stored).faults_of(label).count == lacks  # type: ignore[arg-type]
    stored.sizes[f"{FULL}/bundle/1"] = 200
    assert look(stored, tmp_path / "memory.json") == {}


@pytest.mark.parametrize(("size", "wrong"), [(0, 2), (99, 2), (199, 1), (201, 1)])
def test_the_size_of_a_bundle_counts(size: int, wrong: int) -> None:
    """A set that uses the first file of a bundle can do without its end, not so the set that made it."""
    stored = Stored()
    stored.sizes[f"{FULL}/bundle/1"] = size
    assert len(look(stored)) == wrong


def test_single_files_have_the_size_of_the_manifest() -> None:
    stored = Stored()
    stored.sizes[f"{FULL}/pg_data/big.lz4"] = 998
    told = f"{FULL}/pg_data/big.lz4 has 998 bytes, not 999"
    assert look(stored) == {FULL: told, LATER: told}


def test_without_a_manifest_a_set_is_damaged_and_with_its_copy_it_is_not() -> None:
    stored = Stored()
    del stored.sizes[f"{FULL}/backup.manifest"]
    assert look(stored) == {}
    del stored.sizes[f"{FULL}/backup.manifest.copy"]
    assert look(stored) == {FULL: f"{FULL}/backup.manifest is missing"}


def test_the_manifest_of_another_set_is_none() -> None:
    stored = Stored()
    stored.texts[FULL] = MANIFESTS[OTHER]
    assert look(stored) == {FULL: f"{FULL}/backup.manifest.copy is that of set {OTHER}"}


def test_blocks_need_all_objects_of_the_references() -> None:
    stored = Stored()
    blocks = {"bi": 16, "bim": 40, **SINGLE, "repo-size": 50}
    used = {**PACKED, "reference": FULL}
    stored.texts[INCR] = manifest(INCR, {"pg_data/blocks": blocks, "pg_data/a": used}, version="2.55")
    stored.sizes[f"{INCR}/pg_data/blocks.pgbi"] = 50
    assert look(stored) == {}
    del stored.sizes[f"{FULL}/pg_data/big.lz4"]
    assert sorted(look(stored)) == sorted([FULL, INCR, LATER])


def test_what_cannot_be_listed_is_no_verdict() -> None:
    class Away(Stored):
        def repo_ls(self, path: str, recurse: bool = False) -> dict[str, StoredEntry]:
            raise PgBackRestError("S3 is away", 49)

    with pytest.raises(PgBackRestError):
        look(Away())


def test_a_whole_full_makes_up_for_older_sets() -> None:
    sets = [entry(3), entry(10, "incr", prior=FULL), entry(20)]
    damaged = {FULL: "gone", INCR: "gone"}
    before, after = (repository(*sets[:number]).with_damage(damaged) for number in (2, 3))
    assert [one.label for one in before.unrepaired()] == [FULL, INCR]
    assert after.unrepaired() == []
    assert [one.label for one in after.with_damage({OTHER: "gone"}).unrepaired()] == [FULL, INCR, OTHER]
    verdicts = [file_verdicts.files_present(one) for one in (before, after, repository(*sets))]
    assert [verdict.passed for verdict in verdicts] == [False, True, True]
    assert [verdict.numbers["damaged_sets"] for verdict in verdicts] == [2, 2, 0]
    assert f"{FULL}: gone" in verdicts[0].summary
    assert "take a full backup" in verdicts[0].summary


def test_older_sets_are_listed_rarely_and_newer_ones_at_each_look() -> None:
    stored, now, asked = Stored(), [0.0], []

    def flat(after: str) -> Iterator[tuple[str, int, int]]:
        asked.append(after)
        yield from ((path, size, 1) for path, size in sorted(stored.sizes.items()) if path > after)

    files = FilesLook(stored, flat=flat, clock=lambda: now[0])  # type: ignore[arg-type]

    def faulty() -> set[str]:
        return set(files.damaged(MANIFESTS, older_age=900.0))

    assert faulty() == set()
    del stored.sizes[f"{OTHER}/bundle/1"]
    del stored.sizes[f"{INCR}/pg_data/new.lz4"]
    now[0] += 300
    assert faulty() == {OTHER}
    now[0] += 600
    assert faulty() == {OTHER, INCR}
    assert asked == ["", f"{OTHER[:-1]}E~", ""]
    assert stored.listed == 0
    assert files.faults_of(LATER).count == 0
    assert files.faults_of(INCR).count == 1
    assert asked[3:] == [f"{FULL[:-1]}E~"] * 2, "one listing for the whole chain"
    # With another memory than this one's nothing is known of the older ones.
    assert set(FilesLook(stored, flat=flat).damaged(MANIFESTS, older_age=900.0)) == {OTHER, INCR}  # type: ignore[arg-type]


def test_what_the_agent_listed_of_older_sets_is_not_listed_again_by_others(tmp_path: Path) -> None:
    stored, now, asked = Stored(), [0.0], []

    def flat(after: str) -> Iterator[tuple[str, int, int]]:
        asked.append(after)
        yield from ((path, size, 1) for path, size in sorted(stored.sizes.items()) if path > after)

    def look(*, shares: bool = False, older_age: float = 900.0) -> set[str]:
        files = FilesLook(stored, tmp_path / "memory", "s3://here", flat, shares, lambda: now[0])  # type: ignore[arg-type]
        return set(files.damaged(MANIFESTS, older_age=older_age))

    since_newest_full = f"{OTHER[:-1]}E~"
    assert look() == look() == set()
    assert asked == ["", ""], "only the agent's is kept"
    assert look(shares=True) == set()
    now[0] += 600
    del stored.sizes[f"{INCR}/pg_data/new.lz4"]
    assert look() == set()
    del stored.sizes[f"{OTHER}/bundle/1"]
    assert look() == {OTHER}
    assert asked[3:] == [since_newest_full] * 2
    assert look(older_age=0.0) == {OTHER, INCR}, "a cleanup looks at all there is"
    now[0] += 301
    assert look() == {OTHER, INCR}
    assert asked[5:] == ["", ""]
    now[0] -= 3600
    assert look() == {OTHER, INCR}
    assert asked[7:] == [""], "the clock was put back"


def test_a_verdict_is_never_of_a_listing_that_does_not_hold_its_files(tmp_path: Path) -> None:
    """What an earlier listing says of older sets and the verdicts of a later one are not mixed."""
    stored, now = Stored(), [0.0]

    def flat(after: str) -> Iterator[tuple[str, int, int]]:
        yield from ((path, size, 1) for path, size in sorted(stored.sizes.items()) if path > after)

    def look(*, shares: bool = False, older_age: float = 900.0) -> dict[str, str]:
        files = FilesLook(stored, tmp_path / "memory", "s3://here", flat, shares, lambda: now[0])  # type: ignore[arg-type]
        found = files.damaged(MANIFESTS, older_age=older_age)
        return {label: faults.summary for label, faults in found.items()}

    assert look(shares=True) == {}
    lost = f"{INCR}/pg_data/new.lz4"
    size = stored.sizes.pop(lost)
    missing = {INCR: f"{lost} is missing"}
    for older_age in (0.0, 900.0):
        now[0] += 60
        assert look(older_age=older_age) == missing
    # As when its delete marker is removed: it is what it was, with its time.
    stored.sizes[lost] = size
    now[0] += 60
    assert look(older_age=0.0) == {}
    now[0] += 3600
    assert look(shares=True) == look() == {}
