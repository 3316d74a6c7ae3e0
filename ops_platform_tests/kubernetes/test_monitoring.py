"""Rules, scrape targets and dashboards for Kubernetes are those that others get."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from ops_platform import files
from ops_platform.kubernetes import __main__, monitoring

ROOT = Path(__file__).parents[2]
RULES = sorted((files.carried("dashboards") / "prometheus" / "rules").glob("*.yml"))
MOST_BYTES = 1 << 20
"""Of a ConfigMap."""


def test_each_rule_is_there_and_promtool_reads_it(tmp_path: Path) -> None:
    made = monitoring.rules(RULES, "ops-platform")
    assert [one["spec"] for one in made] == [yaml.safe_load(path.read_text()) for path in RULES]
    for one in made:
        path = tmp_path / f"{one['metadata']['name']}.yml"
        path.write_text(yaml.safe_dump(one["spec"]), encoding="utf-8")
    checked = subprocess.run(
        ["promtool", "check", "rules", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_links_to_runbooks_get_their_base() -> None:
    made = monitoring.rules(RULES, "n", "https://example.com/handbook/")
    links = {
        rule["annotations"]["runbook_url"]
        for one in made
        for group in one["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert len(links) > 10
    assert all(link.startswith("https://example.com/handbook/docs/runbooks/") for link in links)


def test_the_jobs_have_the_names_that_the_rules_know() -> None:
    services = {
        one["metadata"]["name"]: one
        for one in yaml.safe_load_all((ROOT / "deploy/kubernetes/platform.yaml").read_text(encoding="utf-8"))
        if one["kind"] == "Service"
    }
    scraped = yaml.safe_load((ROOT / "dashboards/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"] for job in scraped["scrape_configs"]}
    for monitor in monitoring.monitors("ops-platform"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        [service] = [one for one in services.values() if wanted <= one["metadata"]["labels"].items()]
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] in jobs
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_all_is_printed_and_small_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--namespace", "observed"]) == 0
    made = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {one["metadata"]["namespace"] for one in made} == {"observed"}
    names = [(one["kind"], one["metadata"]["name"]) for one in made]
    assert len(names) == len(set(names))
    boards = [one for one in made if one["kind"] == "ConfigMap"]
    assert {key for one in boards for key in one["data"]} == {"backup-and-dr.json", "gdpr.json", "slo.json"}
    for one in boards:
        [(name, text)] = one["data"].items()
        assert len(text.encode()) < MOST_BYTES
        kept = files.carried("dashboards") / "grafana" / "dashboards" / name
        assert json.loads(text) == json.loads(kept.read_text(encoding="utf-8"))


def test_a_directory_without_rules_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--rules", str(tmp_path)]) == 2
    assert "holds no rule file" in capsys.readouterr().err
