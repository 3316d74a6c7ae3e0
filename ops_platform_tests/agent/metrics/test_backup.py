"""Backups: the recovery point grows by itself, what was not seen is unknown, a bad set is no set."""

from __future__ import annotations

from datetime import timedelta

from ops_platform.agent.metrics import Targets, summarise_sets
from ops_platform.agent.state import initial_state
from ops_platform.backup.monitoring import Archiver, Window
from ops_platform.backup.wal import History, Lineage
from ops_platform_tests.agent.metrics.scraping import NOW, PRODUCT, full, scrape
from ops_platform_tests.backup.shapes import EPOCH, GEOMETRY, entry, repository


def test_rpo_grows_between_looks() -> None:
    assert scrape(full())[("backup_rpo_seconds", PRODUCT)] == 42


def test_the_window_ends_where_recovery_does_and_is_held_against_its_age() -> None:
    samples = scrape(full())
    assert samples[("backup_recoverable_seconds", PRODUCT)] == 7200
    assert samples[("backup_recoverable_expected_seconds", PRODUCT)] == 7200
    assert samples[("backup_recoverable_promised_seconds", PRODUCT)] == 35 * 86_400


def test_a_window_that_is_gone_is_zero_and_one_that_was_not_seen_is_unknown() -> None:
    known = full()
    known.backup.stanzas["product"].window.window.put(Window())
    samples = scrape(known)
    assert samples[("backup_recoverable_seconds", PRODUCT)] == 0
    assert samples[("backup_recoverable_expected_seconds", PRODUCT)] == 7242
    known.backup.stanzas["product"].window.window.forget()
    samples = scrape(known)
    assert ("backup_recoverable_seconds", PRODUCT) not in samples
    assert ("backup_recoverable_expected_seconds", PRODUCT) not in samples


def test_a_clock_behind_the_heartbeat_gives_no_negative_rpo() -> None:
    known = full()
    known.backup.stanzas["product"].recovery_point.put(NOW + 5)
    assert scrape(known)[("backup_rpo_seconds", PRODUCT)] == 0


def test_a_heartbeat_of_the_future_leaves_the_rpo_unknown() -> None:
    known = full()
    known.backup.stanzas["product"].recovery_point.put(NOW + 3600)
    samples = scrape(known)
    assert samples[("backup_rpo_known", PRODUCT)] == 0
    assert ("backup_rpo_seconds", PRODUCT) not in samples


def test_values_are_as_given() -> None:
    samples = scrape(full())
    kind = (("kind", "full"), ("stanza", "product"))
    assert samples[("backup_last_success_timestamp_seconds", kind)] == NOW - 60
    assert samples[("backup_runs_total", (*kind, ("status", "failed")))] == 1
    assert samples[("backup_size_bytes", kind)] == 10**9
    assert samples[("backup_sets", (("kind", "differential"), ("stanza", "product")))] == 0
    assert samples[("backup_archive_failing", PRODUCT)] == 1


def test_an_archive_that_was_not_seen_for_too_long_is_unknown_again() -> None:
    known = initial_state({"product": Targets(900.0, 1800.0, {}, 35 * 86_400.0)}, 0)
    known.backup.stanzas["product"].wal_gap.put(0)
    known.system.ops_up.put(True)
    names = {name for name, _ in scrape(known)}
    assert "backup_wal_gap_segments" not in names
    assert "ops_database_up" not in names


def test_only_sound_sets_of_the_current_cluster_keep_a_kind_fresh() -> None:
    seen = summarise_sets(
        repository(
            entry(1, database_id=1),
            entry(10, database_id=2),
            entry(20, database_id=2),
            entry(30, database_id=2, error=True),
            databases=2,
        ),
        Lineage.of({}, [1]),
    )
    assert seen.last_success == {"full": (EPOCH + timedelta(minutes=20, seconds=30)).timestamp()}
    assert seen.counts == {"full": 3, "differential": 0, "incremental": 0}
    assert (seen.damaged, seen.encrypted) == (1, True)


def test_a_set_that_a_restore_left_behind_keeps_nothing_fresh() -> None:
    full = entry(1)
    behind = entry(20, "incr", prior=full["label"], segments=(20, 20))
    left = History(2, ((1, GEOMETRY.start(10)),))
    seen = summarise_sets(repository(full, behind), Lineage.of({2: left}, [1, 2]))
    assert list(seen.last_success) == ["full"]
    assert list(summarise_sets(repository(full, behind), None).last_success) == []


def test_a_stanza_that_was_never_made_has_no_sets() -> None:
    seen = summarise_sets(repository(databases=0), None)
    assert (seen.last_success, seen.counts["full"], seen.damaged) == ({}, 0, 0)


def test_a_second_repository_has_series_of_its_own_and_none_of_the_server() -> None:
    promised = Targets(900.0, 1800.0, {"full": 626400.0}, 35 * 86_400.0)
    known = initial_state({"product": promised, "product@offsite": promised}, 15)
    for state in known.backup.stanzas.values():
        state.archiving.server_seen(Archiver(failed_count=3, failing=True))
    first, second = known.backup.stanzas.values()
    first.wal_gap.put(0)
    second.archiving.faults["elsewhere"].put(True)
    samples = scrape(known)
    offsite = (("stanza", "product@offsite"),)
    assert (samples["backup_wal_gap_segments", PRODUCT], samples["backup_archive_failing", PRODUCT]) == (0, 1)
    assert ("backup_wal_gap_segments", offsite) not in samples
    assert samples["backup_rpo_known", offsite] == 0
    assert samples["backup_archive_fault", (("fault", "elsewhere"), *offsite)] == 1
    of_second = {name for name, labels in samples if labels[-1:] == offsite}
    assert of_second.isdisjoint(
        {"backup_archive_failing", "backup_archive_failed_total", "backup_database_up"}
    )
    assert ("backup_archive_fault", (("fault", "off"), *offsite)) not in samples
