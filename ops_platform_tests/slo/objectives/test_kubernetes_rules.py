"""PrometheusRule objects hold what the rule file holds, under names that Kubernetes takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from ops_platform import files
from ops_platform.slo.objectives import openslo, prometheus_rules
from ops_platform_tests.console import Console


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Console:
    return Console({"PATH": os.environ["PATH"], "OPS_STATE_DIR": str(tmp_path)}, monkeypatch, capsys)


def test_each_objective_is_an_object_with_its_groups(console: Console, tmp_path: Path) -> None:
    every = openslo.load_directory(files.default_config_dir() / "objectives")
    more = ["--namespace", "monitoring", "--label", "release=prometheus"]
    shown = console.run("slo", "rules", "--format", "kubernetes", *more)
    assert shown.returncode == 0
    # PyYAML's own loader takes a second.
    objects = list(yaml.load_all(shown.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    assert {one["kind"] for one in objects} == {"PrometheusRule"}
    assert [one["metadata"]["name"] for one in objects] == [f"slo-{objective.id}" for objective in every]
    assert all(one["metadata"]["namespace"] == "monitoring" for one in objects)
    assert all(one["metadata"]["labels"]["release"] == "prometheus" for one in objects)
    groups = [group for one in objects for group in one["spec"]["groups"]]
    assert groups == prometheus_rules.render(every)["groups"]
    assert len(groups) == len({group["name"] for group in groups})

    written = console.run("slo", "rules", "--format", "kubernetes", *more, "--out", str(tmp_path))
    assert (tmp_path / "slo-prometheusrules.yaml").read_text() == shown.stdout
    assert written.stdout.strip() == str(tmp_path / "slo-prometheusrules.yaml")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--format", "kubernetes", "--label", "release"], "is no label of Kubernetes"),
        (["--format", "kubernetes", "--label", "a=b c"], "is no label of Kubernetes"),
        (["--format", "kubernetes", "--label", "a=b", "--label", "a=c"], "given twice"),
        (["--format", "kubernetes", "--namespace", "Mine"], "takes no namespace 'Mine'"),
        (["--namespace", "mine"], "only with --format kubernetes"),
        (["--label", "a=b"], "only with --format kubernetes"),
    ],
)
def test_what_kubernetes_does_not_take_is_refused(arguments: list[str], word: str, console: Console) -> None:
    refused = console.run("slo", "rules", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert word in refused.stderr
