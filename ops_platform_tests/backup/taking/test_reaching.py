"""S3 is reached at once or not at all, except for who has to restore."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.backup.taking import preflight
from ops_platform.clients.object_store import endpoint
from ops_platform.errors import Unavailable
from ops_platform.settings import S3Place

CONTEXT = cast(
    Any, SimpleNamespace(settings=SimpleNamespace(s3_place=lambda role: S3Place(endpoint_url="https://far")))
)


def line(monkeypatch: pytest.MonkeyPatch, *answers: Unavailable | None) -> list[float]:
    """Let tries at a handshake end so; the list that is returned gets how long each might take (s)."""
    left, seconds = list(answers), []

    def handshake(place: S3Place, within: float) -> None:
        seconds.append(within)
        answer = left.pop(0)
        if answer is not None:
            raise answer

    monkeypatch.setattr(endpoint, "handshake", handshake)
    monkeypatch.setattr(preflight, "PAUSE_SECONDS", 0.0)
    return seconds


LOST = endpoint.NoAnswer("S3 at far:443 cannot be reached (timed out)")


def test_a_restore_tries_again_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = line(monkeypatch, LOST, LOST, None)
    preflight.reach_endpoint(CONTEXT, preflight.PATIENT_TRIES)
    assert seconds == [5.0, 10.0, 15.0]


def test_all_else_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = line(monkeypatch, LOST, None)
    with pytest.raises(Unavailable, match="timed out"):
        preflight.reach_endpoint(CONTEXT)
    assert len(seconds) == 1


def test_a_wrong_certificate_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = line(monkeypatch, Unavailable("the certificate of S3 at far:443 is not accepted"), None)
    with pytest.raises(Unavailable, match="is not accepted"):
        preflight.reach_endpoint(CONTEXT, preflight.PATIENT_TRIES)
    assert len(seconds) == 1


def test_a_port_that_is_none_is_said() -> None:
    place = S3Place(endpoint_url="https://far:nine", repository=2)
    ctx = cast(Any, SimpleNamespace(settings=SimpleNamespace(s3_place=lambda role: place)))
    with pytest.raises(Unavailable, match="port is no number: correct OPS_REPO2_S3_ENDPOINT_URL"):
        preflight.reach_endpoint(ctx)
