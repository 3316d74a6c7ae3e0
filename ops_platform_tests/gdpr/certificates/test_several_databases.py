"""What a certificate says of each of several databases: which it is, and until when backups hold the data."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.certificates.facts import Backups, DatabaseIdentity
from ops_platform.gdpr.data_map.model import Accepted, Belonging, ByColumn, Keep, Table
from ops_platform.gdpr.data_map.parts.database import Database
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.tombstones.backup_expiry import MARGIN, BackupTerm
from ops_platform_tests.gdpr.catalogues import data_map
from ops_platform_tests.gdpr.certificates.test_document import tombstone

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


def test_what_another_database_keeps_is_told_with_its_name() -> None:
    """By law, and by the map's leave; a place of the same name at home is another."""
    bills = Name("public", "users")
    kept = Belonging("payer", ByColumn(("user_id",), ("id",)), Keep("tax law", "10 years"), "none")
    home = replace(data_map(), accepted=(Accepted(bills, "note", "at home"),))
    part = replace(
        home,
        tables={bills: Table(bills, "p", "r", frozenset(), frozenset(), {}, (kept,))},
        accepted=(Accepted(bills, "note", "in billing"),),
        database=Database("billing", "BILLING_DATABASE_URL"),
    )
    said = certificate.compose(
        tombstone(),
        replace(home, databases=(part,)),
        [Effect("postgresql", "billing: users", "payer", "keep: tax law; 10 years", 3, 0, 3)],
        proof=[],
        residue={},
        backups_expire_at=GONE,
        now=GONE,
        accepted={"billing": {(bills, "note"): 2}},
    )
    [law] = said["kept_by_law"]
    assert (law["table"], law["rows"]) == ("billing: users", 3)
    assert said["accepted"] == [{"place": "billing: users.note", "because": "in billing", "rows": 2}]
