"""The ``controller`` block of a map: in exports, in the record of processing, and what it leaves unsaid."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.export import index_page, overview
from ops_platform.gdpr.export.overview import Overview
from ops_platform.gdpr.transparency import gaps, processing_record
from ops_platform_tests.gdpr.data_map.test_parser import MAP

CONTROLLER = """\
controller:
  name: Shop & Co
  address: 1 High Street
  contact: privacy@shop.example
  dpo: none
  supervisory_authority: The authority of the country
  sources: [You]
  recipients: [{name: Bank, purpose: Pays you.}]
  third_countries: [{country: Japan, recipient: Mailer, safeguards: adequacy decision}]
  automated_decisions: []
"""
ALL = CONTROLLER + "  security: [Backups are encrypted.]\n"


def parsed(tmp_path: Path, block: str) -> DataMap:
    file = tmp_path / "data_map.yaml"
    file.write_text(MAP + block, encoding="utf-8")
    return map_file.load(file)


def shown(data_map: DataMap, language: str = "en") -> Overview:
    return Overview(data_map, [], language, datetime(2026, 3, 1, tzinfo=UTC), None)  # type: ignore[arg-type]


def test_an_export_states_who_is_responsible_and_what_they_must_say(tmp_path: Path) -> None:
    data_map = parsed(tmp_path, CONTROLLER)
    about = overview.about(shown(data_map))
    assert about["controller"] == {
        "name": "Shop & Co", "address": "1 High Street", "contact": "privacy@shop.example",
    }  # fmt: skip
    assert about["supervisory_authority"] == "The authority of the country"
    assert about["sources"] == ["You"]
    assert about["recipients"] == [{"name": "Bank", "purpose": "Pays you."}]
    assert about["third_countries"] == [
        {"country": "Japan", "recipient": "Mailer", "safeguards": "adequacy decision"}
    ]
    assert about["automated_decisions"] == []
    assert about["not_stated"] == []
    page, french = (index_page.index(shown(data_map, language)) for language in ("en", "fr"))
    for text in ("Shop &amp; Co", "Japan · Mailer · adequacy decision", "Bank: Pays you.", "There are none."):
        assert text in page
    assert "Qui répond de vos données" in french
    assert "Décisions prises sans intervention humaine" in french


def test_a_map_without_a_controller_is_as_it_was_and_says_that_it_does_not_say(tmp_path: Path) -> None:
    data_map = parsed(tmp_path, "")
    assert data_map.controller is None
    assert data_map.version == "a405cdc4353732fe", "the version of a map of old must not change"
    about = overview.about(shown(data_map))
    assert about["not_stated"] == ["controller"]
    assert about["recipients"] == []
    assert "third_countries" not in about
    assert "There are none" not in index_page.index(shown(data_map)), "nobody said so"
    [note] = gaps.notes(data_map)
    assert (note.where, note.code) == ("controller", "not-stated")


def test_what_is_left_out_is_named_and_what_is_none_is_not(tmp_path: Path) -> None:
    assert gaps.notes(parsed(tmp_path, CONTROLLER)) == []
    some = "controller: {name: Shop, third_countries: [], dpo: none}\n"
    assert [note.where for note in gaps.notes(parsed(tmp_path, some))] == [
        "controller.address", "controller.contact", "controller.supervisory_authority", "controller.sources",
        "controller.recipients", "controller.automated_decisions",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("controller: {}\n", "controller.name: is missing"),
        ("controller: {name: TODO}\n", "controller.name: is not written yet"),
        ("controller: {name: Shop, sources: [' ']}\n", "controller.sources.0: is not written yet"),
        ("controller: {name: Shop, fax: 1}\n", "controller.fax: is not known here"),
        ("controller: {name: S, third_countries: [{country: J, recipient: M}]}\n", "safeguards: is missing"),
    ],
)
def test_what_is_not_written_is_refused(tmp_path: Path, block: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parsed(tmp_path, block)


def test_the_record_of_processing_says_what_the_map_tells_and_what_it_does_not(tmp_path: Path) -> None:
    record = processing_record.compose(parsed(tmp_path, CONTROLLER))
    assert record["controller"]["dpo"] is None
    assert record["categories_of_subjects"] == ["user"]
    assert [activity["table"] for activity in record["activities"]] == ["users", "notes", "pages"]
    notes = record["activities"][1]
    assert notes["categories_of_data"] == ["text"]
    assert notes["kept_by_law"] == [{"role": "in", "basis": "law", "term": "1 y"}]
    assert notes["retention"] == "Until you remove them."
    assert record["recipients"] == [{"name": "Bank", "purpose": "Pays you."}]
    assert record["not_told"] == ["security"]
    text = processing_record.as_markdown(record)
    for line in (
        "- name: Shop & Co",
        "- dpo: none",
        "- Japan: Mailer; adequacy decision",
        "- Bank: Pays you.",
        "## Not told by the map\n\n- security",
    ):
        assert line in text, line
    assert processing_record.compose(parsed(tmp_path, ALL))["not_told"] == []


def test_the_record_names_the_categories_that_the_map_names(tmp_path: Path) -> None:
    text = MAP.replace("personal: [email]", "personal: [email]\n    categories: {email: user.contact.email}")
    (tmp_path / "data_map.yaml").write_text(text, encoding="utf-8")
    record = processing_record.compose(map_file.load(tmp_path / "data_map.yaml"))
    assert record["activities"][0]["categories_of_data"] == ["email (user.contact.email)"]


def test_a_record_without_a_controller_calls_nothing_none(tmp_path: Path) -> None:
    record = processing_record.compose(parsed(tmp_path, ""))
    assert "controller" in record["not_told"]
    text = processing_record.as_markdown(record)
    for heading in (
        "Controller\n\nNot told",
        "Third countries\n\n- not told",
        "Security measures\n\n- not told",
    ):
        assert f"## {heading} by the map" in text
