"""What a certificate says beside effects and proof, how people read it, and which line of it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ops_platform.cli.gdpr import gdpr
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.certificates import html_page, line_checks, map_store
from ops_platform.gdpr.certificates.document import Issued, NotGenuine
from ops_platform.gdpr.certificates.facts import DatabaseIdentity, Facts, ProcessorNotice, Searched
from ops_platform.gdpr.data_map import parser
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform_tests.gdpr.certificates.test_document import (
    EFFECTS,
    KEY,
    KEYS,
    NOW,
    PUBLIC,
    composed,
    tombstone,
)
from ops_platform_tests.services import OpsDatabase

HOUR = timedelta(hours=1)


def facts(data_map: DataMap, **changed: Any) -> Facts:
    known = Facts(
        controller={"name": "Example <Ltd>", "contact": "privacy@example.org"},
        databases=(DatabaseIdentity("product", "shop", "7300000000000000001", "15.8"),),
        received_at=NOW - 3 * HOUR,
        confirmed_at=NOW - 2 * HOUR,
        due_at=NOW + 70 * HOUR,
        done_at=NOW,
        searched=Searched({"posts": ("title", "body")}, ("email", "handle")),
        processors=(ProcessorNotice("Newsletter service", "mails", NOW - HOUR, None),),
        map_sha256=data_map.sha256,
    )
    return replace(known, **changed)


def signed(data_map: DataMap, **changed: Any) -> Issued:
    said = certificate.compose(
        tombstone(),
        data_map,
        EFFECTS,
        proof=[],
        residue={},
        not_searched={"full_name": "a common word"},
        backups_expire_at=NOW + 40 * 24 * HOUR,
        now=NOW,
        facts=facts(data_map, **changed),
    )
    return certificate.sign(said, KEY)


def test_it_says_who_when_where_and_by_which_map(demo_map: DataMap) -> None:
    said = certificate.verify(signed(demo_map).as_file().encode(), KEYS)
    assert said["controller"]["name"] == "Example <Ltd>"
    assert said["databases"] == [
        {
            "stanza": "product",
            "database": "shop",
            "system_identifier": "7300000000000000001",
            "server_version": "15.8",
        }
    ]
    times = [said[f"{name}_at"] for name in ("received", "confirmed", "done", "due")]
    assert times == sorted(times)
    assert said["searched"] == {"columns": {"posts": ["body", "title"]}, "identifiers": ["email", "handle"]}
    [processor] = said["processors"]
    assert (processor["told_at"], processor["acknowledged_at"]) == ("2026-03-01T11:00:00+00:00", None)
    assert said["map_sha256"].startswith(said["map_version"]) or said["map_version"] == "m1"
    assert said["map_sha256"][:16] == demo_map.version


def test_one_of_before_stays_genuine(demo_map: DataMap) -> None:
    old = certificate.sign(composed(demo_map), KEY)
    assert json.loads(old.document)["format"].endswith(" 1")
    lines = line_checks.check(old.as_file().encode(), KEYS)
    assert all(line.passed for line in lines)
    assert "Certificate of an erasure" in html_page.page(old, "en")


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "something left": (lambda said: said["effects"][0].update(after=1), "nothing left"),
    "residue": (lambda said: said.update(residue_rows=2), "nothing left"),
    "a processor who answered before they were told": (
        lambda said: said["processors"][0].update(acknowledged_at="2026-03-01T10:00:00+00:00"),
        "times",
    ),
    "a processor who answered after the issue": (
        lambda said: said["processors"][0].update(acknowledged_at="2062-03-01T10:00:00+00:00"),
        "times",
    ),
    "done before it was confirmed": (lambda said: said.update(done_at="2026-02-01T00:00:00+00:00"), "times"),
}


@pytest.mark.parametrize(("change", "line"), FAULTS.values(), ids=FAULTS.keys())
def test_each_line_that_fails_is_named(
    demo_map: DataMap, change: Callable[[dict[str, Any]], None], line: str
) -> None:
    said = json.loads(signed(demo_map).document)
    change(said)
    text = certificate.sign(said, KEY).as_file().encode()
    assert [check.name for check in line_checks.check(text, KEYS) if not check.passed] == [line]


def test_no_term_is_told_where_it_is_not_known(demo_map: DataMap) -> None:
    unknown = dict.fromkeys(("received_at", "confirmed_at", "due_at"))
    text = signed(demo_map, **unknown).as_file().encode()
    [line] = [check for check in line_checks.check(text, KEYS) if check.name == "times"]
    assert (line.passed, line.text) == (True, "in order; no request with a term is known")


def test_its_map_is_told_from_another(demo_map: DataMap) -> None:
    text = signed(demo_map).as_file().encode()

    def of_map(document: str) -> bool:
        [line] = [check for check in line_checks.check(text, KEYS, document) if check.name == "map"]
        return line.passed

    assert of_map(demo_map.document)
    assert not of_map(demo_map.document.replace("posts", "posters"))


def test_the_command_names_what_fails(
    demo_map: DataMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "unused")
    monkeypatch.setenv("OPS_GDPR_PUBLIC_KEY", PUBLIC)
    said = json.loads(signed(demo_map).document)
    file = tmp_path / "certificate.json"

    def run(said: dict[str, Any]) -> Any:
        file.write_text(certificate.sign(said, KEY).as_file(), encoding="utf-8")
        return CliRunner().invoke(gdpr, ["verify-certificate", str(file)])

    ended = run(said)
    assert ended.exit_code == 0, ended.output
    for text in ("7300000000000000001", "Newsletter service", "done within the term", demo_map.sha256):
        assert text in ended.output
    ended = run({**said, "residue_rows": 2, "done_at": "2026-02-01T00:00:00+00:00"})
    assert isinstance(ended.exception, NotGenuine)
    assert "nothing left: 2 rows" in str(ended.exception)
    assert "times: done_at is before cutoff" in str(ended.exception)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_people_can_read_it(demo_map: DataMap, language: str) -> None:
    page = _Text()
    page.feed(html_page.page(signed(demo_map), language))
    text = "".join(page.texts)
    for said in (
        "Example <Ltd>, privacy@example.org",
        "7300000000000000001",
        "email, handle",
        "2026-03-01 11:00",
    ):
        assert said in text
    assert "script" not in page.tags
    assert {"en": "Not searched for", "fr": "Non recherché"}[language] in text


@pytest.mark.services
def test_a_map_is_kept_by_its_hash_for_ever(
    ops_database: OpsDatabase, demo_map: DataMap, tmp_path: Path
) -> None:
    with postgres.session(ops_database.url("ops_worker")) as ops:
        for _ in range(2):
            map_store.keep(ops, demo_map)
        ops.commit()
        assert map_store.find(ops, demo_map.version).sha256 == demo_map.sha256
        with pytest.raises(ConfigurationError):
            map_store.find(ops, "a%")
        with pytest.raises(CheckFailed, match="no map"):
            map_store.find(ops, "0" * 64)
    runner = CliRunner(env={"OPS_DATABASE_URL": ops_database.url("ops_worker")})
    ended = runner.invoke(gdpr, ["map", "show", demo_map.version])
    assert ended.exit_code == 0, ended.output
    # What is shown is the map: read again it has the same hash.
    file = tmp_path / "map_of_then.yaml"
    file.write_text(ended.output, encoding="utf-8")
    assert parser.load(file).sha256 == demo_map.sha256
    assert yaml.safe_load(ended.output)["version"] == 1
    assert runner.invoke(gdpr, ["map", "show", "--json", demo_map.version]).output == demo_map.document
    with ops_database.superuser() as superuser:
        superuser.execute("ALTER TABLE gdpr_maps DISABLE TRIGGER ALL")
        superuser.execute("ALTER TABLE gdpr_maps DROP CONSTRAINT gdpr_maps_check")
        superuser.execute("UPDATE gdpr_maps SET document = '{}'")
    ended = runner.invoke(gdpr, ["map", "show", demo_map.version])
    assert isinstance(ended.exception, CheckFailed)
    assert "was changed" in str(ended.exception)
