"""A ledger of a test's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform.local.servers.object_store_server import ObjectStoreServer
    from ops_platform_tests.audit.rig import Rig
    from ops_platform_tests.services import OpsDatabase

_numbers = itertools.count(1)


@pytest.fixture
def rig(ops_database: OpsDatabase, object_store: ObjectStoreServer) -> Iterator[Rig]:
    from ops_platform.audit import keys
    from ops_platform_tests.audit.rig import Rig, store_of

    # A prefix, not a bucket: SeaweedFS grows seven volumes for every bucket.
    private, public = keys.generate()
    made = Rig(ops_database, store_of(object_store, f"test-{next(_numbers)}/"), private, public)
    yield made
    made.close()
