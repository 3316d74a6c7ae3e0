"""How long heartbeat positions are kept: as long as any set can be there to be restored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops_platform.backup.retention import set_lifetime
from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.cron import Cron
from ops_platform.defs.backup.schedules import CLEANUP_CRON
from ops_platform.settings import load_settings

PRODUCT = load_backups(load_settings({})).stanzas["product"]
DAY = timedelta(days=1)


def test_positions_outlive_every_set_of_a_year() -> None:
    """A set goes with the first cleanup at which a newer full is as old as the retention."""
    (full,) = PRODUCT.crons("full")
    fulls, cleanups = Cron(full.text), Cron(CLEANUP_CRON)
    retention, taken = timedelta(days=PRODUCT.retention_days), datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(52):
        taken = next(fulls.after(taken))
        gone = next(cleanups.after(next(fulls.after(taken)) + retention))
        assert gone - taken < set_lifetime.companion_lifetime(PRODUCT)


def test_the_term_follows_the_stanza() -> None:
    assert set_lifetime.companion_lifetime(PRODUCT) == 35 * DAY + 7 * DAY + set_lifetime.CLEANUP_PAUSE
    longer = replace(PRODUCT, retention_days=90)
    assert set_lifetime.companion_lifetime(longer) - set_lifetime.companion_lifetime(PRODUCT) == 55 * DAY
    off = replace(PRODUCT, schedules={**PRODUCT.schedules, "full": None})
    assert set_lifetime.companion_lifetime(off) == 35 * DAY + set_lifetime.CLEANUP_PAUSE


def test_sets_that_are_kept_for_ever_do_not_reach_before_the_calendar() -> None:
    assert (
        set_lifetime.companion_lifetime(replace(PRODUCT, retention_days=9_999_999))
        == set_lifetime.LONGEST_COMPANION_LIFETIME
    )
