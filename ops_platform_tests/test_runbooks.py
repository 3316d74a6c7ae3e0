"""Links to runbooks: absolute with a base, in every rule; nothing else in a rule file changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ops_platform import files, runbooks
from ops_platform.errors import ConfigurationError
from ops_platform_tests.console import Console

RULES = sorted((files.carried("dashboards") / "prometheus" / "rules").glob("*.yml"))
BASE = "https://docs.example/runbooks"


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_every_alert_gets_an_absolute_link_and_no_rule_another_text(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    made = runbooks.linked(text, BASE)
    alerts = [rule for group in yaml.safe_load(made)["groups"] for rule in group["rules"] if "alert" in rule]
    links = [rule["annotations"]["runbook_url"] for rule in alerts]
    assert all(re.fullmatch(re.escape(BASE) + r"/[a-z-]+\.md#[a-z0-9-]+", link) for link in links)
    assert made.replace(f"{BASE}/", runbooks.FOLDER) == text
    assert runbooks.linked(text, None) == text


@pytest.mark.parametrize(
    ("base", "link"),
    [
        (None, "docs/runbooks/slo.md#x"),
        (BASE, f"{BASE}/slo.md#x"),
        (f"{BASE}///", f"{BASE}/slo.md#x"),
        ("file:///srv/docs", "file:///srv/docs/slo.md#x"),
    ],
)
def test_a_link_is_made_absolute(base: str | None, link: str) -> None:
    assert runbooks.link("docs/runbooks/slo.md#x", base) == link


@pytest.mark.parametrize(
    "base",
    ["", "docs", "docs.example/runbooks", "https://a b", 'https://a"x', "https://{{ x }}", "javascript:x"],
)
def test_what_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(ConfigurationError, match="OPS_RUNBOOK_URL"):
        runbooks.checked(base)


def test_the_command_writes_the_rules_of_the_platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    console = Console({"OPS_RUNBOOK_URL": BASE}, monkeypatch, capsys)
    done = console.run("alert-rules", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in RULES} - {"slo.yml"}
    assert f"{BASE}/system.md#runfailed" in (tmp_path / "system.yml").read_text(encoding="utf-8")
    slo = console.run("slo", "rules", "--out", str(tmp_path))
    assert slo.returncode == 0, slo.stderr
    assert f"{BASE}/slo.md#" in (tmp_path / "slo.yml").read_text(encoding="utf-8")
    refused = console.run("alert-rules", "--out", str(tmp_path), OPS_RUNBOOK_URL="docs")
    assert refused.returncode == 2
    assert refused.stderr.startswith("ops-platform: OPS_RUNBOOK_URL is where")
