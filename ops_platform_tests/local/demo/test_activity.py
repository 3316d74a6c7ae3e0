"""The stream of requests: the same for a seed, healthy by default, as broken as it is told to be."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ops_platform.errors import ConfigurationError
from ops_platform.local.demo.activity import Request, requests
from ops_platform.local.demo.failure_modes import HEALTHY, Control, FailureModes
from ops_platform.local.demo.product_metrics import (
    PUBLISHING_BUCKETS,
    ROUTES,
    TRANSCODING_BUCKETS,
    TrafficMetrics,
)
from ops_platform_tests import hypothesis_profile

COUNT = 40_000


@pytest.fixture(scope="module")
def stream() -> list[Request]:
    return list(islice(requests(1), COUNT))


@pytest.fixture(scope="module")
def first(stream: list[Request]) -> Callable[[], list[Request]]:
    """The first of the stream, as something short: hypothesis writes down what a test is given."""
    some = stream[:10_000]
    return lambda: some


def ratio(values: list[bool]) -> float:
    return sum(values) / len(values)


def test_a_seed_always_gives_the_same_requests(stream: list[Request]) -> None:
    assert list(islice(requests(1), 100)) == stream[:100]
    assert list(islice(requests(2), 100)) != stream[:100]


def test_every_route_is_used(stream: list[Request]) -> None:
    assert {(request.method, request.route) for request in stream} == set(ROUTES)


def test_healthy_is_within_every_objective(stream: list[Request]) -> None:
    assert ratio([request.fails(HEALTHY) for request in stream]) < 0.001
    assert ratio([request.published(HEALTHY) for request in stream]) > 0.99
    assert ratio([request.publishing_seconds(HEALTHY) <= 10 for request in stream]) > 0.95
    assert ratio([request.transcoding_seconds(HEALTHY) <= 300 for request in stream]) > 0.9
    assert all(request.signature_valid(HEALTHY) for request in stream)


# A hundred examples said no more than these, each of 50 000 draws: the edges, and some between.
@settings(max_examples=hypothesis_profile.examples(20))
@example(wanted=0.0)
@example(wanted=1.0)
@given(wanted=st.floats(min_value=0, max_value=1))
def test_ratios_are_met(first: Callable[[], list[Request]], wanted: float) -> None:
    modes = FailureModes(
        api_error_ratio=wanted,
        publishing_error_ratio=wanted,
        publishing_slow_ratio=wanted,
        transcoding_slow_ratio=wanted,
        webhook_invalid_ratio=wanted,
    )
    some = first()
    for met in (
        ratio([request.fails(modes) for request in some]),
        ratio([not request.published(modes) for request in some]),
        ratio([request.publishing_seconds(modes) > 10 for request in some]),
        ratio([request.transcoding_seconds(modes) > 300 for request in some]),
        ratio([not request.signature_valid(modes) for request in some]),
    ):
        assert met == pytest.approx(wanted, abs=0.025)


def test_breaking_one_thing_leaves_the_others_as_they_were(stream: list[Request]) -> None:
    broken = HEALTHY.changed({"api_error_ratio": 0.5})
    assert [request.publishing_seconds(broken) for request in stream[:500]] == [
        request.publishing_seconds(HEALTHY) for request in stream[:500]
    ]


@pytest.mark.parametrize(
    ("given_modes", "said"),
    [
        ({"api_errors": 0.1}, "no failure mode 'api_errors'"),
        ({"api_error_ratio": 1.5}, "from 0 to 1"),
        ({"api_error_ratio": -0.1}, "from 0 to 1"),
        ({"api_error_ratio": "0.1"}, "from 0 to 1"),
        ({"api_error_ratio": True}, "from 0 to 1"),
        ({"api_error_ratio": float("nan")}, "from 0 to 1"),
        ({"traffic_factor": 10_001}, "from 0 to 10000"),
    ],
)
def test_wrong_modes_change_nothing(given_modes: dict[str, object], said: str) -> None:
    control = Control()
    with pytest.raises(ConfigurationError, match=said):
        control.change({"publishing_error_ratio": 0.9, **given_modes})
    assert control.modes == HEALTHY


def test_modes_change_one_by_one_and_reset() -> None:
    control = Control()
    control.change({"api_error_ratio": 1})
    assert control.change({"traffic_factor": 2}).as_dict() == {
        **HEALTHY.as_dict(),
        "api_error_ratio": 1.0,
        "traffic_factor": 2.0,
    }
    assert control.reset() == HEALTHY


def test_metrics_have_the_thresholds_of_the_objectives_and_start_at_zero() -> None:
    assert 10.0 in PUBLISHING_BUCKETS
    assert 300.0 in TRANSCODING_BUCKETS
    families = {family.name: family for family in TrafficMetrics().registry.collect()}
    for family in families.values():
        assert family.documentation
    responses = [
        sample
        for sample in families["product_api_responses"].samples
        if sample.name == "product_api_responses_total"
    ]
    assert len(responses) == len(ROUTES) * 5
    assert {sample.value for sample in responses} == {0.0}
