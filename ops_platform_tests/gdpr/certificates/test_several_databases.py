"""What a certificate says of each of several databases: which it is, and until when backups hold the data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ops_platform.gdpr.certificates.facts import Backups, DatabaseIdentity
from ops_platform.gdpr.tombstones.backup_expiry import MARGIN, BackupTerm

GONE = datetime(2026, 3, 1, tzinfo=UTC)
BILLING = DatabaseIdentity(None, "bills", "7", "15.2")


def test_the_longest_backups_say_when_the_last_one_expires() -> None:
    term = BackupTerm(
        "product", timedelta(days=30), {"billing": timedelta(days=90), "crm": None, "web": timedelta(days=7)}
    )
    expires = term.expires(GONE)
    assert expires == GONE + timedelta(days=90) + MARGIN
    assert term.each(expires) == {
        "": GONE + timedelta(days=30) + MARGIN,
        "billing": expires,
        "crm": None,
        "web": GONE + timedelta(days=7) + MARGIN,
    }


def test_the_only_database_is_as_it_was() -> None:
    assert BILLING.document() == {
        "stanza": None,
        "database": "bills",
        "system_identifier": "7",
        "server_version": "15.2",
    }
    assert BILLING.limits == []


def test_what_is_not_known_is_said() -> None:
    known = DatabaseIdentity("money", "bills", "7", "15.2", Backups("billing", GONE))
    assert known.document()["last_backup_expires_at"] == GONE.isoformat()
    assert known.limits == []
    unknown = DatabaseIdentity(None, "bills", "7", "15.2", Backups("billing", None))
    assert unknown.document()["last_backup_expires_at"] is None
    [limit] = unknown.limits
    assert "no backups of the database billing (bills)" in limit
