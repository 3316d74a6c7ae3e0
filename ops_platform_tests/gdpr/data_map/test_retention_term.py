"""Terms of retention in a map: periods by the calendar, and what is refused, with file and line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import Period, RetentionTerm, kinds
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.data_map.test_kinds import MAP as KINDS
from ops_platform_tests.gdpr.data_map.test_parser import MAP

TEXT = "    retention: Until you close it.\n"


def loaded(tmp_path: Path, retention: str, text: str = MAP) -> tuple[str, RetentionTerm | None]:
    file = tmp_path / "data_map.yaml"
    file.write_text(text.replace(TEXT, f"    retention: {retention}\n"), encoding="utf-8")
    table = map_file.load(file).tables[Name("public", "users")]
    return table.retention, table.term


@pytest.mark.parametrize(
    ("text", "period", "words"),
    [
        ("P2Y", Period(24), "2 years"),
        ("P1Y6M", Period(18), "1 year 6 months"),
        ("P18M", Period(18), "1 year 6 months"),
        ("P90D", Period(days=90), "90 days"),
        ("P2W", Period(days=14), "14 days"),
        ("PT36H", Period(seconds=129_600), "36 hours"),
        ("P1DT12H30M5S", Period(days=1, seconds=45_005), "1 day 12 hours 30 minutes 5 seconds"),
    ],
)
def test_a_period_is_read_exactly(text: str, period: Period, words: str) -> None:
    assert Period.parse(text) == period
    assert str(period) == words


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P0Y", "PT0S", "P1.5Y", "P-1Y", "2 years", "P1H", "P1Y2", "p1y", "P1YT", "P300Y",
             "P1M1Y", "P٣Y"],
)  # fmt: skip
def test_what_is_no_exact_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"period|no time at all|200 years"):
        Period.parse(text)


def test_a_leap_day_s_start_is_clamped() -> None:
    assert Period(12).before(datetime(2024, 2, 29, tzinfo=UTC)) == datetime(2023, 2, 28, tzinfo=UTC)
    assert Period(1, 1).before(datetime(2026, 1, 31, tzinfo=UTC)) == datetime(2025, 12, 30, tzinfo=UTC)


def test_a_term_is_read_and_said_in_words(tmp_path: Path) -> None:
    said, term = loaded(tmp_path, "{after: P2Y, of: created_at, do: delete}")
    assert said == "Deleted 2 years after created at."
    assert term == RetentionTerm(Period(24), "created_at")
    assert term.action == "delete"
    said, term = loaded(
        tmp_path, "{after: P30D, of: seen, zone: Europe/Paris, do: delete, text: A month at most.}"
    )
    assert said == "A month at most."
    assert term == RetentionTerm(Period(days=30), "seen", "Europe/Paris")
    assert loaded(tmp_path, "Until you close it.") == ("Until you close it.", None)


def test_anonymise_takes_the_table_s_own_rules(tmp_path: Path) -> None:
    rule = "erase: {anonymise: {id: null, email: {value: gone}}}, export: own}"
    text = MAP.replace(
        "{role: account, column: id, erase: delete, export: own}", "{role: account, column: id, " + rule
    )
    _, term = loaded(tmp_path, "{after: P2Y, of: created_at, do: anonymise}", text)
    assert term is not None
    assert term.values == {"id": None, "email": "gone"}
    assert term.action == "anonymise"


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ("{after: 2 years, of: created_at, do: delete}", "retention.after: '2 years' is not an ISO 8601"),
        ("{after: P2Y, do: delete}", "retention.of: is missing"),
        ("{after: P2Y, of: created_at, do: hide}", "retention.do: input should be"),
        (
            "{after: P2Y, of: created_at, do: delete, zone: Mars/Base}",
            "retention.zone: 'Mars/Base' is no time",
        ),
        ("{after: P2Y, of: created_at, do: delete, zone: ../../etc/passwd}", "is no time zone"),
        ("{after: P2Y, of: created_at, do: delete, when: now}", "retention.when: is not known here"),
        ("{after: P2Y, of: created_at, do: anonymise}", "'account' is not: write delete"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_line(tmp_path: Path, retention: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        loaded(tmp_path, retention)
    assert "data_map.yaml:10" in str(refused.value)


def test_a_pseudonym_is_of_one_erasure(tmp_path: Path) -> None:
    text = MAP.replace("{role: account, column: id, erase: delete", "{role: account, column: id, erase: "
                       "{anonymise: {id: pseudonym}}")  # fmt: skip
    with pytest.raises(ConfigurationError, match="id is set to a pseudonym, which is of one erasure"):
        loaded(tmp_path, "{after: P2Y, of: created_at, do: anonymise}", text)


def test_anonymise_sets_what_the_roles_of_every_kind_of_subject_set(tmp_path: Path) -> None:
    """Else the row would name the employee for ever, by the customers' map."""
    orders = "    purpose: Your orders.\n    retention: Ten years.\n"
    assert orders in KINDS
    text = KINDS.replace(
        orders, orders.replace("Ten years.", "{after: P10Y, of: nr, do: anonymise}")
    ).replace("column: buyer, erase: delete", "column: buyer, erase: {anonymise: {buyer: null}}")
    file = tmp_path / "data_map.yaml"
    file.write_text(text, encoding="utf-8")
    terms = [one.tables[Name("public", "orders")].term for one in kinds.every(map_file.load(file))]
    assert [term.values for term in terms if term] == [{"buyer": None, "packer": None}] * 2
