"""What becomes of every public document stands in docs/slo-documents.md, and it is enough."""

from __future__ import annotations

import re

import promql_parser
import pytest

from ops_platform.slo.objectives import openslo, prometheus_rules
from ops_platform_tests.slo import corpora
from ops_platform_tests.slo.corpora import Outcome


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [corpora.outcome(file) for file in corpora.files()]


def test_the_document_says_what_becomes_of_each(outcomes: list[Outcome]) -> None:
    assert corpora.written() == corpora.table(outcomes), "python -m ops_platform_tests.slo.corpora"
    assert len(outcomes) > 85


INCOMPLETE = r"there is no (AlertPolicy|AlertCondition|AlertNotificationTarget|SLI) "
"""The SDK's tests of references hold documents whose objects are not there."""
INVALID = r"not a name that OpenSLO accepts"
"""Names with a space, which the specification does not take."""


@pytest.mark.parametrize("source", ["openslo|go-sdk|oslo", "sloth", "pyrra"])
def test_nine_of_ten_that_ask_prometheus_work(outcomes: list[Outcome], source: str) -> None:
    asked = [
        one
        for one in outcomes
        if re.fullmatch(source, one.source)
        and one.prometheus
        and not re.search(f"{INCOMPLETE}|{INVALID}", one.refused or "")
        # A document of two SLOs, one of which asks Datadog.
        and one.prometheus == one.slos
    ]
    works = sum(one.prometheus for one in asked if one.refused is None)
    every = sum(one.prometheus for one in asked)
    assert every >= 8
    # Of Sloth's, those that a plugin computes, or Victoria Metrics, have no query of Prometheus'.
    others = sum(one.prometheus for one in asked if re.search("plugin|histogram_share", one.refused or ""))
    assert works >= 0.9 * (every - others)


REASONS = {
    "is of ": "a source of another type than Prometheus",
    "there is no ": "a reference to an object that is in none of the files",
    "not a name that OpenSLO accepts": "a name that is no DNS label",
    "is not known here": "an unknown key or annotation of ours",
    "a window that does not roll": "92 days of a calendar",
    "native histograms": "native histograms",
    "a plugin makes its query": "an SLI made by a plugin is refused",
    "is not PromQL": "a query that computes more",
    "holds a secret": "a secret in them is refused",
}


def test_each_refusal_has_its_reason_in_the_document(outcomes: list[Outcome]) -> None:
    text = corpora.DOCUMENT.read_text(encoding="utf-8")
    for one in outcomes:
        if one.refused is not None:
            [reason] = [named for said, named in REASONS.items() if said in one.refused]
            assert reason in text


def test_the_rules_of_what_works_are_promql() -> None:
    working = corpora.CORPUS / "go-sdk/pkg/openslosdk/testdata/inline/inputs/v1_slo.yaml"
    loaded = openslo.read([working]).objectives
    assert {one.indicator.unit for one in loaded} == {"time slices"}
    rules = [rule for group in prometheus_rules.render(loaded)["groups"] for rule in group["rules"]]
    for rule in rules:
        promql_parser.parse(rule["expr"])
    assert "SloPolicySingleReferencedObject" in {rule.get("alert") for rule in rules}
