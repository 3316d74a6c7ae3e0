"""The largest bundle of a full is deleted: the next look, the next incremental and a restore say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from ops_platform.backup.monitoring import health
from ops_platform.backup.monitoring.observation import observe
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.monitoring.verdict import Verdict
from ops_platform.dr.emergency import restore_command
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.backup.site import Done, Site, take
from ops_platform_tests.services import state_dir

pytestmark = pytest.mark.services


@contextmanager
def without_largest_bundle(site: Site, object_store: ObjectStoreServer, label: str) -> Iterator[str]:
    """Delete it, and put it back as it was: other tests use the site."""
    client, bucket = object_store.client("backup"), object_store.bucket("backup")
    prefix = f"pgbackrest/backup/{site.name}/{label}/bundle/"
    bundles = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    key = max(bundles, key=lambda bundle: bundle["Size"])["Key"]
    body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.delete_object(Bucket=bucket, Key=key)
    try:
        yield key.removeprefix(f"pgbackrest/backup/{site.name}/")
    finally:
        client.put_object(Bucket=bucket, Key=key, Body=body)


def verdicts(site: Site) -> dict[str, Verdict]:
    return {f"{one.name}{one.kind or ''}": one for one in health.examine(site.context, datetime.now(UTC))}


def test_a_lost_bundle_is_red_until_it_is_back(
    backed_up: Site, second_backup: Done, object_store: ObjectStoreServer
) -> None:
    newest = max(one.label for one in backed_up.repository().of_kind("full"))
    chain = [label for label in backed_up.labels() if label.startswith(newest)]
    with without_largest_bundle(backed_up, object_store, newest) as bundle:
        seen = verdicts(backed_up)
        assert not seen["files_present"].passed
        assert f"{newest}: {bundle} is missing" in seen["files_present"].summary
        assert seen["files_present"].numbers["damaged_sets"] == len(chain)
        # They count for nothing.
        restorable = {one.label for one in observe(backed_up.context).restorable()}
        assert restorable.isdisjoint(chain)
        sets = {one["label"]: one for one in stanza_status(backed_up.context)["sets"]}
        assert [sets[label]["damage"] for label in chain] == [f"{bundle} is missing"] * len(chain)
        with pytest.raises(CheckFailed, match=rf"{bundle} is missing.*: take a full backup"):
            take(backed_up, "incremental")
        target_directory = state_dir(backed_up.cluster) / "restored"
        # An emergency looks at the sets that fit, the newest first.
        with (
            restore_command.open_workspace(backed_up.context, target_directory) as here,
            pytest.raises(CheckFailed, match=f"can be restored to .*{newest} \\({bundle} is missing\\)"),
        ):
            restore_command.explain(
                backed_up.context, here, RecoveryTarget.latest(), newest, datetime.now(UTC)
            )
    assert verdicts(backed_up)["files_present"].passed
    assert set(chain) <= {one.label for one in observe(backed_up.context).restorable()}
