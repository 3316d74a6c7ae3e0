"""Several subjects at once share the searches and nothing else; a killed run leaves what it ever did."""

from __future__ import annotations

import json
from typing import Any, Literal
from uuid import UUID

import pytest

from ops_platform.errors import CheckFailed
from ops_platform.gdpr import fulfilment as request_work
from ops_platform.gdpr.row_erasure import residue_exemptions
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform_tests.gdpr.erasure.test_command_line import run
from ops_platform_tests.gdpr.erasure_scene import Scene

pytestmark = pytest.mark.services


def third(place: Scene) -> UUID:
    """Somebody whose address stands in a text of somebody else, where no rule finds it."""
    with place.product.owner() as owner:
        rows = owner.execute(
            "SELECT id, email FROM creators WHERE id <> ALL(%s) ORDER BY id LIMIT 2",
            ([place.who, place.neighbour],),
        ).fetchall()
        owner.execute(
            "UPDATE profiles SET bio = %s WHERE creator_id = %s", (f"See {rows[0]['email']}", rows[1]["id"])
        )
    third: UUID = rows[0]["id"]
    return third


def request(place: Scene, subject: UUID) -> str:
    request_id = place.requests.make(subject).request.request_id
    place.requests.verify(request_id, place.requests.token(request_id))
    return request_id


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of subjects of each search."""
    numbers: list[int] = []
    residue_each = residue_exemptions.residue_each

    def counted(connection: Any, data_map: Any, known: Any, wanted: Any) -> Any:
        numbers.append(len(wanted))
        return residue_each(connection, data_map, known, wanted)

    monkeypatch.setattr(residue_exemptions, "residue_each", counted)
    return numbers


def gone(place: Scene, subject: UUID) -> bool:
    """Whether nothing is left of somebody."""
    with place.product.cluster.superuser(place.product.name) as superuser:
        rows = superuser.execute("SELECT FROM creators WHERE id = %s", (subject,)).fetchall()
    return not rows and place.objects(subject) == place.keys(subject) == 0


def test_requests_that_wait_are_searched_for_together_and_one_refused_stops_none(
    place: Scene, searches: list[int]
) -> None:
    refused, requests = request(place, third(place)), [place.request(), request(place, place.neighbour)]
    lines: list[str] = []
    done = request_work.erase_with_waiting(place.ops_url, requests[0], "run", place.context, log=lines.append)
    assert [one.request_id for one in done] == [requests[0], refused, requests[1]]
    assert [type(one.error) for one in done] == [type(None), CheckFailed, type(None)]
    assert "profiles.bio" in str(done[1].error)
    # One search before and one after; nobody is searched for alone.
    assert searches == [3, 2]
    assert gone(place, place.who)
    assert gone(place, place.neighbour)
    assert place.residue() == []
    assert place.tombstones() == (2, 2)
    assert place.ops_count("gdpr_certificates") == 2
    for request_id in requests:
        row = place.requests.row(request_id)
        assert (row["status"], row["outcome"], row["run_id"]) == ("completed", "fulfilled", "run")
        assert any(line.startswith(f"request {request_id}: step: rows") for line in lines)
    row = place.requests.row(refused)
    assert (row["status"], row["attempts"]) == ("processing", 1)
    assert str(done[1].error).startswith(row["failure"])
    # What was tried before is tried alone, also where others wait.
    searches.clear()
    place.requests.worker.execute("UPDATE gdpr_requests SET next_attempt_at = NULL")
    [again] = request_work.erase_with_waiting(place.ops_url, refused, "run", place.context)
    assert isinstance(again.error, CheckFailed)
    assert searches == [1]


@pytest.mark.full
def test_what_comes_after_the_search_of_all_is_searched_for_again(place: Scene, searches: list[int]) -> None:
    """The last of them goes on using the product while the first is certified."""
    first, second = place.request(), request(place, place.neighbour)
    done: list[str] = []

    def at(step: str, when: str) -> None:
        if (step, when) == ("certificate", "before") and not done:
            done.append(step)
            place.cache.set_many({f"creator:{place.neighbour}:page": "anew"})

    ended = request_work.erase_with_waiting(place.ops_url, first, "run", place.context, at=at)
    assert [(one.request_id, one.error) for one in ended] == [(first, None), (second, None)]
    assert gone(place, place.neighbour)
    assert searches == [2, 2, 1]


@pytest.mark.full
def test_killed_they_go_on_by_themselves(place: Scene) -> None:
    requests = [place.request(), request(place, place.neighbour)]
    assert place.worker(requests[0], "rows", "after") == "KILLED"
    assert place.requests.row(requests[1])["status"] == "processing"
    place.requests.worker.execute("UPDATE gdpr_requests SET next_attempt_at = NULL")
    for request_id, subject in zip(requests, (place.who, place.neighbour), strict=True):
        [one] = request_work.erase_with_waiting(place.ops_url, request_id, "run", place.context)
        assert one.error is None
        assert gone(place, subject)
    assert place.tombstones() == (2, 2)
    assert place.ops_count("gdpr_certificates") == 2


@pytest.mark.parametrize("mode", ["recorded", "unrecorded"])
@pytest.mark.full
def test_keys_of_one_file_are_searched_for_together(
    place: Scene, searches: list[int], mode: Literal["recorded", "unrecorded"]
) -> None:
    refused = third(place)
    keys = f"{place.who}\n{refused}\n{place.neighbour}\n{place.who}\n"
    done = run(place, keys, "--json", *(["--no-tombstone"] if mode == "unrecorded" else []))
    assert done.exit_code == 1
    assert isinstance(done.exception, CheckFailed)
    assert "profiles.bio" in str(done.exception)
    said = json.loads(done.stdout)
    assert [(one["subject"], one["found"]) for one in said] == [(1, True), (3, True), (4, False)]
    assert searches == [3, 2]
    assert gone(place, place.who)
    assert gone(place, place.neighbour)
    assert not gone(place, refused)
    certificates = 2 if mode == "recorded" else 0
    assert place.ops_count("gdpr_certificates") == certificates
    with place.product.eraser() as product:
        known = catalogue.read(product)
        assert subject_rows.identity(product, place.data_map, known, str(refused)) is not None
        assert product.execute("SELECT FROM ops_platform.erasures").fetchall() == []
