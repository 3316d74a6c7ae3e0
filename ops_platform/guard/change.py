"""A change that somebody asks for: its objects, whether it needs a reason, its marks on the run. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops_platform.guard.accounts import Identity
from ops_platform.guard.document import Request
from ops_platform.guard.permissions import MUTATIONS, NEVER, Permission
from ops_platform.guard.refusal import Refusal

ACTOR_TAG, REASON_TAG = "ops-platform/actor", "ops-platform/reason"
SHORTEST_REASON, LONGEST_REASON = 4, 300
WITHOUT_REASON = re.compile(r"slo(?:_|/|$)|alert_delivery_test$")
"""Names of jobs, assets, schedules and sensors whose launch needs no reason: they only count."""
_LAUNCHES = {"launchRun", "launchPipelineExecution"}
_TYPES = {
    "executionParams": "ExecutionParams!",
    "executionParamsList": "[ExecutionParams!]!",
    "reexecutionParams": "ReexecutionParams!",
    "backfillParams": "LaunchBackfillParams!",
}
"""The arguments that carry tags, and their GraphQL types."""


@dataclass(frozen=True)
class Change:
    """A mutation that somebody may ask for."""

    request: Request
    name: str
    permission: Permission
    objects: tuple[str, ...]
    """What it is about: ``job:backup_full``, ``run:...``, ``schedule:...``."""

    @property
    def needs_reason(self) -> bool:
        """Whether it changes anything of backups, exercises or data protection, or nobody knows what."""
        if self.permission.kind == "reload" or not self.permission.is_recorded:
            return False
        named = [entry for entry in self.objects if entry.startswith(_NAMED)]
        if any(entry.startswith("asset:") for entry in named):
            # Dagster's own job for chosen assets; they say what is meant.
            named = [entry for entry in named if not entry.startswith("job:__ASSET_JOB")]
        only_counts = named and all(WITHOUT_REASON.match(entry.partition(":")[2]) for entry in named)
        return self.permission.kind == "wipe" or not only_counts

    def given_reason(self) -> str | None:
        """Return the reason that a launch brings as a tag; a re-execution's is its parent's, and no news."""
        if self.name not in _LAUNCHES:
            return None
        tags = _tags(_mapping(self.request.argument("executionParams")).get("executionMetadata"))
        return clean(next((str(tag.get("value")) for tag in tags if tag.get("key") == REASON_TAG), ""))

    def marked(self, actor: str, reason: str | None) -> Request:
        """Return the request with actor and reason as tags of its runs, in the place of any that it had."""
        marks = [{"key": ACTOR_TAG, "value": actor}]
        if reason is not None:
            marks.append({"key": REASON_TAG, "value": reason})
        request = self.request
        for argument, kind in _TYPES.items():
            value = request.argument(argument)
            if isinstance(value, Mapping):
                request = request.with_argument(argument, _marked(argument, value, marks), kind)
            elif isinstance(value, list):
                changed = [_marked("executionParams", _mapping(one), marks) for one in value]
                request = request.with_argument(argument, changed, kind)
        return request


_NAMED = ("job:", "asset:", "schedule:", "sensor:", "partition-set:")


def read_change(request: Request, identity: Identity) -> Change:
    """Find what a mutation is about. Raises Refusal for one that is unknown, or above the identity's role."""
    name = request.change or ""
    permission = None if name in NEVER else MUTATIONS.get(name)
    if permission is None:
        raise Refusal(
            403, "unknown-mutation", f"The mutation {name[:60]} is not one that the guard lets through."
        )
    if not identity.may(permission.role):
        raise Refusal(
            403,
            "role",
            f"{name} takes the role {permission.role}; {identity.actor} is {identity.role}: ask an admin.",
        )
    return Change(request, name, permission, _objects(request))


def clean(reason: str | None) -> str | None:
    """Return a reason on one line, without control characters; None when it says nothing."""
    visible = "".join(
        " " if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") else character
        for character in reason or ""
    )
    text = " ".join(visible.split())[:LONGEST_REASON]
    return text if len(text) >= SHORTEST_REASON else None


def _marked(argument: str, value: Mapping[str, Any], marks: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    def merged(tags: Any) -> list[Any]:
        others = [tag for tag in _list(tags) if _mapping(tag).get("key") not in (ACTOR_TAG, REASON_TAG)]
        return [*others, *marks]

    if argument == "executionParams":
        metadata = _mapping(value.get("executionMetadata"))
        return {**value, "executionMetadata": {**metadata, "tags": merged(metadata.get("tags"))}}
    key = "extraTags" if argument == "reexecutionParams" else "tags"
    return {**value, key: merged(value.get(key))}


def _objects(request: Request) -> tuple[str, ...]:
    found: list[str] = []
    for argument in request.fields[0].arguments:
        name = argument.name.value
        found += _of_value(name, request.argument(name))
    return tuple(dict.fromkeys(found))


_IDS = {
    "runId": "run",
    "runIds": "run",
    "parentRunId": "run",
    "backfillId": "backfill",
    "jobName": "job",
    "pipelineName": "job",
    "scheduleName": "schedule",
    "sensorName": "sensor",
    "partitionSetName": "partition-set",
    "partitionsDefName": "partitions",
    "concurrencyKey": "pool",
    "id": "instigator",
    "scheduleOriginId": "instigator",
    "scheduleSelectorId": "instigator",
    "jobOriginId": "instigator",
    "jobSelectorId": "instigator",
    "repositoryLocationName": "location",
}


def _of_value(key: str, value: Any) -> Iterator[str]:
    if key in ("runConfigData", "tags", "extraTags"):
        return
    if key in ("assetKey", "assetSelection", "assetKeys"):
        for one in _list(value) or [value]:
            path = _mapping(one).get("path")
            if isinstance(path, list):
                yield "asset:" + "/".join(map(str, path))[:200]
    elif isinstance(value, Mapping):
        # The location is told only where nothing says more.
        parts = [(name, one) for name, one in value.items() if name != "repositoryLocationName"]
        for name, one in parts:
            yield from _of_value(str(name), one)
    elif isinstance(value, list):
        for one in value:
            yield from _of_value(key, one)
    elif key in _IDS and isinstance(value, str):
        yield f"{_IDS[key]}:{value[:200]}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tags(metadata: Any) -> list[Mapping[str, Any]]:
    return [_mapping(tag) for tag in _list(_mapping(metadata).get("tags"))]
