"""What Dagster's GraphQL answers: queue and ticks; an answer of another form is unknown, not healthy."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ops_platform.agent.probes import dagster_health
from ops_platform.agent.probes.dagster_health import RunQueue, Ticker
from ops_platform.clients.json_http import JsonService
from ops_platform.errors import Unavailable


class Answering:
    """A webserver that answers every question with the same."""

    def __init__(self, data: object) -> None:
        self.data = data

    def post(self, path: str, json: object) -> dict[str, Any]:
        return {"data": self.data}


def asked(data: object) -> JsonService:
    return cast(JsonService, Answering(data))


def runs(*times: tuple[float, float | None]) -> dict[str, Any]:
    results = [{"creationTime": created, "startTime": started} for created, started in times]
    return {"__typename": "Runs", "results": results}


def health(**parts: object) -> dict[str, Any]:
    location = {"__typename": "RepositoryLocation"}
    return {
        "instance": {"daemonHealth": {"allDaemonStatuses": []}},
        "workspaceOrError": {
            "__typename": "Workspace",
            "locationEntries": [{"name": "a", "loadStatus": "LOADED", "locationOrLoadError": location}],
        },
        **{part: runs() for part in ("queued", "starting", "running", "newest")},
        **parts,
    }


def test_the_queue_is_read_with_its_oldest_and_its_newest() -> None:
    answer = health(
        queued=runs((300, None), (100, None)),
        starting=runs((50, None), (40, 90)),
        running=runs((10, 20)),
        newest=runs((400, 410), (300, None), (10, 20)),
    )
    assert dagster_health.read_health(asked(answer)).queue == RunQueue(2, 100, 2, 50, 1, 410)
    assert dagster_health.read_health(asked(health())).queue == RunQueue(0, None, 0, None, 0, None)


def test_what_is_on_is_told_by_its_newest_tick_that_ended() -> None:
    def ticker(kind: str, name: str, status: str, *ticks: str) -> dict[str, Any]:
        return {"name": name, f"{kind}State": {"status": status, "ticks": [{"status": one} for one in ticks]}}

    answer = {
        "__typename": "RepositoryConnection",
        "nodes": [
            {
                "schedules": [
                    ticker("schedule", "fails", "RUNNING", "FAILURE", "SUCCESS"),
                    ticker("schedule", "off", "STOPPED", "FAILURE"),
                    ticker("schedule", "is made up for", "RUNNING", "SUCCESS", "FAILURE"),
                ],
                "sensors": [
                    ticker("sensor", "ticks just now", "RUNNING", "STARTED", "FAILURE"),
                    ticker("sensor", "skips", "RUNNING", "SKIPPED", "FAILURE"),
                    ticker("sensor", "is new", "RUNNING"),
                ],
            }
        ],
    }
    assert dagster_health.read_ticks(asked({"repositoriesOrError": answer})) == [
        Ticker("fails", True),
        Ticker("is made up for", False),
        Ticker("ticks just now", True),
        Ticker("skips", False),
        Ticker("is new", None),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        health(queued={"__typename": "PythonError"}),
        health(queued={"__typename": "Runs"}),
        health(workspaceOrError={"__typename": "PythonError"}),
    ],
)
def test_an_answer_of_another_form_is_no_health(answer: object) -> None:
    with pytest.raises(Unavailable):
        dagster_health.read_health(asked(answer))
    with pytest.raises(Unavailable):
        dagster_health.read_ticks(asked({"repositoriesOrError": {"__typename": "PythonError"}}))
    with pytest.raises(Unavailable):
        dagster_health.read_ticks(asked(answer))
