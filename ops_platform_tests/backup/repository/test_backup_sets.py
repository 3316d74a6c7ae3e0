"""What info says, read: sets, chains, the run that made a set."""

from __future__ import annotations

import pytest

from ops_platform.clients.pgbackrest import StanzaInfo
from ops_platform.errors import CheckFailed
from ops_platform_tests.backup.shapes import entry, info, repository


def test_a_chain_goes_back_to_its_full() -> None:
    full = entry(1)
    diff = entry(2, "diff", prior=full["label"])
    incr = entry(3, "incr", prior=diff["label"])
    other = entry(4, "incr", prior=incr["label"])
    found = repository(full, diff, incr, other)
    assert [one.label for one in found.chain(incr["label"])] == [full["label"], diff["label"], incr["label"]]
    assert [one.kind for one in found.chain(incr["label"])] == ["full", "differential", "incremental"]


def test_a_broken_chain_names_what_is_missing() -> None:
    incr = entry(3, "incr", prior="20261101-000100F")
    with pytest.raises(CheckFailed, match=rf"set 20261101-000100F, which {incr['label']} builds on, is not"):
        repository(incr).chain(incr["label"])
    with pytest.raises(CheckFailed, match="set nothing is not in the repository"):
        repository(incr).chain("nothing")


def test_a_chain_that_bites_its_tail_is_refused() -> None:
    incr = entry(3, "incr", prior="20261101-000100F")
    incr["prior"] = incr["label"]
    with pytest.raises(CheckFailed, match="builds on itself"):
        repository(incr).chain(incr["label"])


def test_a_chain_must_begin_with_a_full() -> None:
    incr = entry(3, "incr")
    with pytest.raises(CheckFailed, match="builds on nothing and is no full"):
        repository(incr).chain(incr["label"])


def test_a_set_of_a_stopped_server_counts_for_nothing() -> None:
    """Somebody ran ``pgbackrest --no-online backup`` by hand: info has no WAL range for it and no LSN."""
    offline = {**entry(1), "archive": {"start": None, "stop": None}}
    del offline["lsn"]
    incr = entry(3, "incr", prior=offline["label"])
    sets = repository(offline, entry(2), incr)
    assert [one.label for one in sets.sets] == [entry(2)["label"], incr["label"]]
    assert sets.offline == (offline["label"],)
    with pytest.raises(CheckFailed, match=r"which .* builds on, was taken of a stopped server: take a full"):
        sets.chain(incr["label"])


def test_a_full_of_an_earlier_cluster_is_nothing_to_build_on() -> None:
    assert repository(entry(1)).has_full()
    assert not repository(entry(1), databases=2).has_full()
    assert not repository().has_full()


def test_the_newest_set_of_a_run_and_its_request_is_found() -> None:
    mine = {"root_run_id": "r", "requested_kind": "incremental"}
    first, second = entry(1, annotations=mine), entry(2, annotations=mine)
    other = entry(3, annotations={"root_run_id": "r", "requested_kind": "full"})
    by_hand = entry(4)
    made = repository(first, second, other, by_hand).made_by("r", "incremental")
    assert made is not None
    assert made.label == second["label"]
    assert repository(by_hand).made_by("r", "full") is None


@pytest.mark.parametrize(
    ("code", "databases", "exists"), [(0, 1, True), (2, 1, True), (1, 0, False), (3, 0, False)]
)
def test_whether_the_stanza_exists(code: int, databases: int, exists: bool) -> None:
    assert StanzaInfo.parse(info([], code=code, databases=databases)).exists is exists


def test_an_unencrypted_repository_is_told() -> None:
    assert repository(entry(1)).encrypted
    assert not StanzaInfo.parse({**info([]), "cipher": "none"}).is_encrypted
    assert not StanzaInfo.parse({}).is_encrypted


def test_a_segment_is_needed_by_the_sets_of_its_own_cluster() -> None:
    """After an upgrade of the stanza names of segments begin again."""
    old, new = entry(1, segments=(3, 5)), entry(2, segments=(3, 5), database_id=2)
    known = repository(old, new, databases=2)
    needing = {
        database.archive_id: [
            found.label for found in known.taken_across(database.archive_id, "000000010000000000000004")
        ]
        for database in known.databases
    }
    assert needing == {"15-1": [old["label"]], "15-2": [new["label"]]}
    assert known.taken_across("15-1", "000000010000000000000006") == []
