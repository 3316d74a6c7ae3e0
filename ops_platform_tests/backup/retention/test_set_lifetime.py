"""How long heartbeat positions are kept: as long as any set can be there to be restored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.cron import Cron
from ops_platform.defs.backup.schedules import CLEANUP_CRON
from ops_platform.settings import load_settings

CONFIG = load_backups(load_settings({}))
PRODUCT, REPOSITORY = CONFIG.stanzas["product"], CONFIG.repository
MARGIN = REPOSITORY.lock_margin
DAY = timedelta(days=1)


def test_positions_outlive_every_set_of_a_year() -> None:
    """A set goes with the first cleanup at which a newer full is as old as the retention."""
    (full,) = PRODUCT.crons("full")
    fulls, cleanups = Cron(full.text), Cron(CLEANUP_CRON)
    retention, taken = timedelta(days=PRODUCT.retention_days), datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(52):
        taken = next(fulls.after(taken))
        gone = next(cleanups.after(next(fulls.after(taken)) + retention))
        assert gone - taken < set_lifetime.companion_lifetime(PRODUCT, REPOSITORY)


def test_the_term_follows_the_stanza() -> None:
    assert (
        set_lifetime.companion_lifetime(PRODUCT, REPOSITORY)
        == 35 * DAY + 7 * DAY + set_lifetime.CLEANUP_PAUSE + MARGIN
    )
    longer = replace(PRODUCT, retention_days=90)
    assert (
        set_lifetime.companion_lifetime(longer, REPOSITORY)
        - set_lifetime.companion_lifetime(PRODUCT, REPOSITORY)
        == 55 * DAY
    )
    off = replace(PRODUCT, schedules={**PRODUCT.schedules, "full": None})
    assert set_lifetime.companion_lifetime(off, REPOSITORY) == 35 * DAY + set_lifetime.CLEANUP_PAUSE + MARGIN


def test_sets_that_are_kept_for_ever_do_not_reach_before_the_calendar() -> None:
    assert (
        set_lifetime.companion_lifetime(replace(PRODUCT, retention_days=9_999_999), REPOSITORY)
        == set_lifetime.LONGEST_COMPANION_LIFETIME
    )


def test_a_set_of_the_promised_window_is_locked_for_the_margin_after_any_deletion() -> None:
    """With fulls a week apart and 35 days promised, the oldest set needed is 42 days old."""
    assert set_lifetime.lock_days(CONFIG.stanzas.values(), REPOSITORY) == 35 + 7 + REPOSITORY.lock_margin_days
    longest = {"short": replace(PRODUCT, retention_days=3), "long": replace(PRODUCT, retention_days=400)}
    assert set_lifetime.lock_days(longest.values(), replace(REPOSITORY, lock_margin_days=30)) == 400 + 7 + 30
    assert set_lifetime.lock_days([replace(PRODUCT, retention_days=9_999_999)], REPOSITORY) == 36_500


def test_the_last_trace_of_a_set_outlives_the_set_its_margin_and_its_lock() -> None:
    lifetime = set_lifetime.longest_lifetime(PRODUCT)
    assert set_lifetime.longest_trace(PRODUCT, 49, REPOSITORY) == lifetime + MARGIN + set_lifetime.PRUNE_PAUSE
    assert set_lifetime.longest_trace(PRODUCT, 400, REPOSITORY) == 400 * DAY + set_lifetime.PRUNE_PAUSE
