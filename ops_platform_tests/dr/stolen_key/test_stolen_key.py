"""The exercise of the stolen key: what a thief gets for an answer, and the restore from the versions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.inspection import VERIFICATIONS
from ops_platform.dr.stolen_key.attack import DENIED, DONE, Answers
from ops_platform_tests.backup.site import Site, silent
from ops_platform_tests.dr.practice import archive_now, strike

if TYPE_CHECKING:
    from ops_platform.local.servers.object_store_server import ObjectStoreServer


def test_only_denials_and_new_versions_are_harmless() -> None:
    answers = Answers()
    for attempt, answer in [
        ("a", DENIED),
        ("a", DENIED),
        ("b", DONE),
        ("b", DENIED),
        ("c", "refused"),
    ]:
        answers.add(attempt, answer)
    assert answers.by_attempt["a"] == Counter({DENIED: 2})
    assert answers.harmful == {"b": [DONE], "c": ["refused"]}
    assert answers.lines()["b"] == "DONE 1, denied 1"


@pytest.mark.full
def test_the_product_is_back_from_what_a_thief_left(beating: Site, object_store: ObjectStoreServer) -> None:
    archive_now(beating)
    strike(beating, 1)
    run, before = str(uuid4()), beating.labels()
    request = ExerciseRequest("manual", beating.name, "stolen_key", run, run, 1_800_000, 900_000)
    said: list[str] = []

    outcome = runner.run(beating.context, request, said.append, silent)

    assert outcome.result == "success", (outcome.reason, said[-20:])
    results = {result.name: result for result in outcome.verifications}
    assert set(results) == set(VERIFICATIONS["stolen_key"])
    numbers = results["versions_survived"].numbers
    copied = numbers["objects"]
    for attempt in ("delete_a_version", "shorten_a_lock", "lift_a_legal_hold"):
        assert numbers[attempt] == f"{DENIED} {copied}"
    assert numbers["overwrite"] == f"became a version {copied}"
    for attempt in ("set_a_lifecycle_rule", "suspend_versioning", "take_the_default_lock_away"):
        assert numbers[attempt] == f"{DENIED} 1"
    assert any("with the stolen key: overwrite" in line for line in said)
    # The repository itself was only read, and of the copy nothing is current any more.
    assert beating.labels() == before
    drill = object_store.client("backup_reader").list_objects_v2(
        Bucket=object_store.buckets["drill"], Prefix=f"{beating.name}/{run}/"
    )
    assert drill["KeyCount"] == 0
