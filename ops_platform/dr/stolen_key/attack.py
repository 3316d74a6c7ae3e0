"""What a thief does with the key of the backups, tried for real on a copy, and what the store answers.

What would do no harm is tried in the bucket of the backups, too: the key may have other rights there.

Every attempt is made with the identity ``backup``. The judge is another identity, which can only read: it
looks whether each version of the copy is still there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ops_platform.backup.retention import version_pruning
from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectStore, ObjectStoreRefused, StoredObject
from ops_platform.dr.inspection import Verification, verdict
from ops_platform.dr.stolen_key.repository_copy import RepositoryCopy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "versions_survived"
THIEVES = 8
DENIED = "denied"
VERSION = "became a version"
MARKER = "became a delete marker"
DONE = "DONE"
UNTRIED = "not tried"
HARMLESS = (DENIED, VERSION, MARKER)
_PROBE = b"a probe of what the key of the backups may do"
_RULE = "ops-platform-probe"
_JUNK = b"your backups are ours"
# S3's own words for "not with this key", and for "not to a bucket under object lock, with any key".
_DENIALS = ("AccessDenied", "InvalidBucketState")


@dataclass
class Answers:
    """Answers of the store by attempt: attempt -> answer -> how often."""

    by_attempt: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, attempt: str, answer: str) -> None:
        """Count one answer."""
        self.by_attempt.setdefault(attempt, Counter())[answer] += 1

    @property
    def harmful(self) -> dict[str, list[str]]:
        """The attempts that were not answered as they must be, with the answers that are wrong."""
        wrong = {
            attempt: [answer for answer in answers if answer not in HARMLESS]
            for attempt, answers in self.by_attempt.items()
        }
        return {attempt: answers for attempt, answers in wrong.items() if answers}

    def lines(self) -> Mapping[str, str]:
        """Word the answers: attempt -> ``denied 39``."""
        return {
            attempt: ", ".join(f"{answer} {count}" for answer, count in sorted(answers.items()))
            for attempt, answers in self.by_attempt.items()
        }


def carry_out(ctx: BackupContext, copy: RepositoryCopy) -> Answers:
    """Try to destroy the copy in every way that the key might allow; then a probe in the backups' bucket.

    Returns the store's answers.

    Raises an OpsError when the store is away: then nothing was proved.
    """
    drill = object_store.drill_from_settings(ctx.settings, "backup")
    drill.client  # noqa: B018 - build it once, before threads share it
    answers = Answers()
    for attempt, act in _against_the_bucket(drill.client, copy.bucket).items():
        answers.add(attempt, _answer(drill, act))
    with ThreadPoolExecutor(THIEVES, thread_name_prefix="thief") as pool:
        for found in pool.map(lambda numbered: _against(drill, *numbered), enumerate(copy.originals)):
            for attempt, answer in found.items():
                answers.add(attempt, answer)
    for answer in _against_all(drill, copy.originals):
        answers.add("delete all versions in batches", answer)
    for attempt, answer in _against_the_backups(ctx).items():
        answers.add(f"{attempt} of the backups", answer)
    return answers


def _against_all(drill: ObjectStore, originals: Sequence[StoredObject]) -> list[str]:
    """Delete the versions in batches; one answer for each way in which the store treated them."""
    try:
        gone, kept = drill.delete_with_codes(originals)
    except ObjectStoreRefused as error:
        return [answer_of(error.code)]
    return [*([DONE] if gone else []), *sorted({answer_of(code) for code in kept})]


def _against_the_backups(ctx: BackupContext) -> dict[str, str]:
    """Attack a probe in the bucket of the backups, and its configuration, so that a success does no harm.

    Every configuration is put back as it is; what cannot be read is not tried, which proves nothing.
    """
    key = f"{version_pruning.PROBES}{ctx.stanza.cluster}/probe"
    store = object_store.from_settings(ctx.settings, "backup")
    reader = object_store.from_settings(ctx.settings, "backup_reader")
    put: Any = store.client
    bucket = {"Bucket": store.bucket}
    stored = store.put(key, _PROBE)
    with store.errors("delete", key):
        hidden = put.delete_object(**bucket, Key=store.prefix + key).get("VersionId")
    if stored is None or hidden is None:
        return {"delete a version": f"{UNTRIED}: the bucket keeps no versions"}
    version = {**bucket, "Key": store.prefix + key, "VersionId": stored}
    # No lock is on it: whether it goes depends on what the key may do alone.
    marker = {**version, "VersionId": hidden}
    now, lock = datetime.now(UTC), reader.retention(key, stored)
    # Longer too, since a lock in mode COMPLIANCE refuses to be shortened with any key.
    longer = (now if lock is None else lock.until) + timedelta(minutes=1)

    def change_lock(until: datetime) -> None:
        put.put_object_retention(**version, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})

    tries: dict[str, Callable[[], Any]] = {
        "delete a version": lambda: put.delete_object(**version),
        "delete a delete marker": lambda: put.delete_object(**marker),
        "shorten a lock": lambda: change_lock(now + timedelta(seconds=5)),
        "lengthen a lock": lambda: change_lock(longer),
        "lift a legal hold": lambda: put.put_object_legal_hold(**version, LegalHold={"Status": "OFF"}),
        "set the versioning": lambda: put.put_bucket_versioning(
            **bucket, VersioningConfiguration={"Status": "Enabled"}
        ),
    }
    found = {attempt: _answer(store, act) for attempt, act in tries.items()}
    for attempt, read, write in (
        ("set the lifecycle rules", _lifecycle, put.put_bucket_lifecycle_configuration),
        ("set the default lock", _default_lock, put.put_object_lock_configuration),
    ):
        try:
            known = read(reader)
        except ObjectStoreRefused as error:
            found[attempt] = f"{UNTRIED}: {reader.role} gets {error.code}"
            continue
        found[attempt] = _answer(store, partial(write, **bucket, **known))
    if store.head(key) is not None:
        store.delete(key)
    return found


def _lifecycle(reader: ObjectStore) -> dict[str, Any]:
    """Read the rules that are there, and add one that does nothing."""
    nothing = {
        "ID": _RULE,
        "Status": "Disabled",
        "Filter": {"Prefix": version_pruning.PROBES},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 365},
    }
    rules: list[Any] = []
    try:
        with reader.errors("read the lifecycle of"):
            answer = reader.client.get_bucket_lifecycle_configuration(Bucket=reader.bucket)
        rules = [rule for rule in answer["Rules"] if rule.get("ID") != _RULE]
    except ObjectStoreRefused as error:
        if error.code != "NoSuchLifecycleConfiguration":
            raise
    return {"LifecycleConfiguration": {"Rules": [*rules, nothing]}}


def _default_lock(reader: ObjectStore) -> dict[str, Any]:
    with reader.errors("read the lock configuration of"):
        answer = reader.client.get_object_lock_configuration(Bucket=reader.bucket)
    return {"ObjectLockConfiguration": answer["ObjectLockConfiguration"]}


def judge(ctx: BackupContext, copy: RepositoryCopy, answers: Answers) -> Verification:
    """Check that all versions of the copy are there and hidden, and that no attempt did harm."""
    reader = object_store.drill_from_settings(ctx.settings, "backup_reader")
    listed = list(reader.versions(copy.key_prefix))
    there = {(stored.key, stored.version_id): stored for stored in listed}
    lost = [stored for stored in copy.originals if (stored.key, stored.version_id) not in there]
    untouched = [
        stored for stored in copy.originals
        if (known := there.get((stored.key, stored.version_id))) is not None and known.is_current
    ]  # fmt: skip
    said = [
        *(f"{len(lost)} versions are gone" for _ in lost[:1]),
        *(f"{len(untouched)} objects could not be deleted or overwritten at all" for _ in untouched[:1]),
        *(f"{attempt}: {', '.join(wrong)}" for attempt, wrong in answers.harmful.items()),
    ]
    numbers: dict[str, int | float | str] = {
        "objects": len(copy.originals),
        "bytes": copy.size_bytes,
        **{attempt.replace(" ", "_"): line for attempt, line in answers.lines().items()},
    }
    summary = "; ".join(said) or (
        f"all {len(copy.originals)} objects were deleted or overwritten with the stolen key; every version "
        "is there, and every attempt on versions, locks and bucket was denied"
    )
    return verdict(NAME, not said, summary, **numbers)


def _against(drill: ObjectStore, number: int, stored: StoredObject) -> dict[str, str]:
    """Attack one object: its version and its lock, then overwrite it, and delete every second one."""
    client, at = drill.client, {"Bucket": drill.bucket, "Key": stored.key, "VersionId": stored.version_id}
    put: Any = client
    soon = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(seconds=5)}
    tries: dict[str, Callable[[], Any]] = {
        "delete a version": lambda: put.delete_object(**at),
        "delete a version bypassing governance": lambda: put.delete_object(
            **at, BypassGovernanceRetention=True
        ),
        "shorten a lock": lambda: put.put_object_retention(**at, Retention=soon),
        "lift a legal hold": lambda: put.put_object_legal_hold(**at, LegalHold={"Status": "OFF"}),
    }
    found = {attempt: _answer(drill, act) for attempt, act in tries.items()}
    drill.put(stored.key, _JUNK)
    found["overwrite"] = VERSION
    if number % 2:
        drill.delete(stored.key)
        found["delete"] = MARKER
    return found


def _against_the_bucket(client: S3Client, bucket: str) -> dict[str, Callable[[], Any]]:
    put: Any = client
    # Harmless where it is allowed, all the same: this is the bucket of the next exercise, too.
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": "s3:DeleteBucket",
                "Resource": f"arn:aws:s3:::{bucket}",
            }
        ],
    }
    rule = {
        "ID": "drill",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }
    return {
        "set a lifecycle rule": lambda: put.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}
        ),
        "suspend versioning": lambda: put.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        "take the default lock away": lambda: put.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        ),
        "replace the policy": lambda: client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy)),
        "delete the bucket": lambda: client.delete_bucket(Bucket=bucket),
    }


def _answer(drill: ObjectStore, act: Callable[[], Any]) -> str:
    """Make one attempt. Another refusal than a denial proves nothing, and is told as it is."""
    try:
        with drill.errors("attack"):
            act()
    except ObjectStoreRefused as error:
        return answer_of(error.code)
    return DONE


def answer_of(code: str) -> str:
    """Word S3's code: a denial, or a refusal that proves nothing."""
    return DENIED if code in _DENIALS else f"refused with {code}"
