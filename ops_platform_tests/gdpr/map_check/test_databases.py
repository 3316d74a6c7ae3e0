"""Findings about a part of a map whose subject's row is in another database."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

from ops_platform.gdpr.connections.open_database import OpenDatabase
from ops_platform.gdpr.data_map.model import Belonging, ByColumn, DataMap, Delete, KnownBy, Table
from ops_platform.gdpr.data_map.parts import part_parser
from ops_platform.gdpr.data_map.parts.database import Database
from ops_platform.gdpr.map_check import feasibility, undecided_columns
from ops_platform.gdpr.schema.reader import Catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import CATALOGUE, NOTES, column, data_map, relation

PAYERS = Name("public", "payers")
COLUMNS = (column("id", "bigint"), column("user_id"), column("mail", "text"))


def billing(
    *roles: Belonging, plain: frozenset[str] = frozenset({"id"}), **columns: str
) -> tuple[DataMap, Catalogue]:
    """Its part of the small map, and the catalogue with the subject's table; ``columns``: other types."""
    home = data_map()
    home = replace(home, subject=replace(home.subject, known_by=(KnownBy(NOTES, "body"),)))
    table = Table(PAYERS, "p", "r", frozenset({"mail"}), plain, {}, roles)
    part = replace(
        home,
        tables={PAYERS: table},
        subject=part_parser.elsewhere(home.subject),
        database=Database("billing", "BILLING_DATABASE_URL"),
    )
    made = [replace(one, type=to, base=to) if (to := columns.get(one.name)) else one for one in COLUMNS]
    own = Catalogue({PAYERS: relation(PAYERS, *made)}, ())
    opened = OpenDatabase(part, Mock(), own, OpenDatabase(home, Mock(), CATALOGUE))
    return part, opened.with_subject


BY_KEY = Belonging("payer", ByColumn(("user_id",), ("id",)), Delete(), "own")
BY_NOTE = Belonging("note", ByColumn(("mail",), ("notes.body",)), Delete(), "own")


def test_a_part_that_fits() -> None:
    assert feasibility.check(*billing(BY_KEY, BY_NOTE)) == []


def test_what_a_column_holds_is_compared_with_the_subjects_own_column_at_home() -> None:
    [finding] = feasibility.check(*billing(BY_KEY, user_id="text"))
    assert (finding.where, finding.code) == ("payers (payer)", "other-type")
    [finding] = feasibility.check(*billing(BY_NOTE, mail="bigint"))
    assert (finding.where, finding.code) == ("payers (note)", "other-type")


def test_a_column_that_may_hold_the_subjects_key_must_be_decided() -> None:
    [finding] = undecided_columns.check(*billing(BY_NOTE, plain=frozenset({"id", "user_id"})))
    assert (finding.where, finding.code) == ("payers.user_id", "undecided-link")
