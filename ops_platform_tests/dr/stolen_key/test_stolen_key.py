"""The exercise of the stolen key: what a thief gets for an answer, and the restore from the versions."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from ops_platform.clients import object_store as stores_of
from ops_platform.clients.object_store import ObjectStoreRefused, Retention
from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.inspection import VERIFICATIONS
from ops_platform.dr.stolen_key import attack
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


@dataclass
class Bucket:
    """The bucket of the backups: denies all calls but ``allowed``, notes what was asked for by name."""

    allowed: tuple[str, ...] = ()
    rules: tuple[dict[str, str], ...] = ()
    code: str = "AccessDenied"
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    bucket: str = "backups"
    prefix: str = ""
    role: str = "a role"
    current: bool = False

    @property
    def client(self) -> Any:
        return self

    def put(self, key: str, body: bytes) -> str:
        self.current = True
        return "v1"

    def head(self, key: str) -> object:
        return key if self.current else None

    def delete(self, key: str) -> None:
        self.current = False

    def retention(self, key: str, version_id: str) -> Retention:
        return Retention("COMPLIANCE", datetime(2126, 1, 1, tzinfo=UTC))

    def delete_with_codes(self, stored: Any) -> tuple[int, dict[str, int]]:
        return 0, {self.code: 1}

    def errors(self, action: str, key: str = "") -> Any:
        return nullcontext()

    def __getattr__(self, name: str) -> Any:
        def act(**arguments: Any) -> dict[str, Any]:
            what = f"{name} {arguments['VersionId']}" if "VersionId" in arguments else name
            self.asked.append((what, arguments))
            if what == "delete_object":
                self.current = False
                return {"VersionId": "m1"}
            if what not in self.allowed:
                raise ObjectStoreRefused("refused", self.code)
            self.current |= what == "delete_object m1"
            return {"Rules": self.rules, "ObjectLockConfiguration": {"lock": "as it is"}}

        return act


READS = ("get_bucket_lifecycle_configuration", "get_object_lock_configuration")


def against(monkeypatch: pytest.MonkeyPatch, thief: Bucket, reader: Bucket) -> Answers:
    stores = {"backup": thief, "backup_reader": reader}
    monkeypatch.setattr(stores_of, "from_settings", lambda settings, role: stores[role])
    monkeypatch.setattr(stores_of, "drill_from_settings", lambda settings, role: Bucket(code=thief.code))
    ctx = cast(Any, SimpleNamespace(settings=None, stanza=SimpleNamespace(name="product", cluster="product")))
    copy = cast(Any, SimpleNamespace(bucket="drill", originals=()))
    return attack.carry_out(ctx, copy)


@pytest.mark.parametrize(
    ("allowed", "attempt"),
    [
        ("delete_object v1", "delete a version"),
        ("delete_object m1", "delete a delete marker"),
        ("put_object_legal_hold v1", "lift a legal hold"),
        ("put_bucket_versioning", "set the versioning"),
        ("put_bucket_lifecycle_configuration", "set the lifecycle rules"),
        ("put_object_lock_configuration", "set the default lock"),
    ],
)
def test_one_right_too_many_in_the_bucket_of_the_backups_is_found(
    allowed: str, attempt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"ID": "noncurrent", "Status": "Enabled"}
    thief, reader = Bucket((allowed,)), Bucket(READS, (rule,))
    answers = against(monkeypatch, thief, reader)
    assert answers.harmful == {f"{attempt} of the backups": [DONE]}
    assert not thief.current
    asked = dict(thief.asked)
    first, ours = asked["put_bucket_lifecycle_configuration"]["LifecycleConfiguration"]["Rules"]
    assert (first, ours["Status"]) == (rule, "Disabled")
    assert asked["put_object_lock_configuration"]["ObjectLockConfiguration"] == {"lock": "as it is"}
    assert asked["put_bucket_versioning"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert {arguments["Bucket"] for arguments in asked.values()} == {"backups"}


def test_what_is_neither_allowed_nor_denied_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = against(monkeypatch, Bucket(), Bucket(READS))
    assert denied.harmful == {}
    assert len([attempt for attempt in denied.by_attempt if attempt.endswith("of the backups")]) == 8
    unread = against(monkeypatch, Bucket(), Bucket())
    assert set(unread.harmful) == {
        "set the lifecycle rules of the backups",
        "set the default lock of the backups",
    }
    slow = against(monkeypatch, Bucket(code="SlowDown"), Bucket(READS))
    assert slow.harmful.keys() == denied.by_attempt.keys()
    assert slow.harmful["delete all versions in batches"] == ["refused with SlowDown"]


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
    for attempt in ("delete_a_delete_marker", "lengthen_a_lock", "set_the_lifecycle_rules"):
        assert numbers[f"{attempt}_of_the_backups"] == f"{DENIED} 1"
    assert any("with the stolen key: overwrite" in line for line in said)
    # The repository itself was only read, and of the copy nothing is current any more.
    assert beating.labels() == before
    drill = object_store.client("backup_reader").list_objects_v2(
        Bucket=object_store.buckets["drill"], Prefix=f"{beating.name}/{run}/"
    )
    assert drill["KeyCount"] == 0
