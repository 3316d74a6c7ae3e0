"""A backed-up cluster with the demo's rows and heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ops_platform_tests.backup.conftest import backed_up, first_backup, make_site  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from ops_platform_tests.backup.site import Site


@pytest.fixture(scope="session")
def site(make_site: Callable[..., Site]) -> Site:  # noqa: F811
    """With the demo product's schema and a few of its rows."""
    from ops_platform import files
    from ops_platform.clients.postgres.migrations import migrate
    from ops_platform.dr.verification import suite as questions
    from ops_platform.local.demo.seed.filling import seed

    # The pace of a few megabytes says little of 100 GB, least of all on a machine that runs tests.
    made = make_site(stanza={"production_size_bytes": 1 << 30})
    owner = made.cluster.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=0.02)
    # From before the first set, so that every moment that can be restored has one before it.
    questions.refresh(made.context)
    return made


@pytest.fixture(scope="module")
def beating(backed_up: Site) -> Site:  # noqa: F811
    """A site whose archive holds heartbeats after its newest set."""
    from ops_platform_tests.dr.practice import archive_now, strike

    strike(backed_up, 4)
    archive_now(backed_up)
    return backed_up
