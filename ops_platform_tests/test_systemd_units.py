"""The units of deploy/systemd: confined, of users that the document makes, starting modules that exist."""

from __future__ import annotations

import importlib.util
import re
from configparser import RawConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
DOCUMENT = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
CONFINED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "UMask": "0077",
    "LimitNOFILE": "65536",
}


def service(unit: Path) -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text(encoding="utf-8"))
    return dict(parser["Service"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_confined_and_starts_what_there_is(unit: Path) -> None:
    found = service(unit)
    assert {name: found.get(name) for name in CONFINED} == CONFINED
    assert f"--shell /usr/sbin/nologin {found['User']}" in DOCUMENT or found["User"] == "postgres"
    module = re.search(r" -m (\S+)", found["ExecStart"])
    if module is not None:
        assert importlib.util.find_spec(module.group(1)) is not None
    assert set(re.findall(r"@[A-Z]+@", unit.read_text(encoding="utf-8"))) <= {"@APP@", "@ETC@", "@STATE@"}


def test_the_document_names_every_unit() -> None:
    start = DOCUMENT.index("| unit | user |")
    table = DOCUMENT[start : DOCUMENT.index("\n\n", start)]
    assert set(re.findall(r"`(ops-[a-z-]+)`", table)) - {"ops-dagster"} == {unit.stem for unit in UNITS}
