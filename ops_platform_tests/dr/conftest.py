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
    from ops_platform_tests.dr.practice import make_demo_site

    return make_demo_site(make_site)


@pytest.fixture(scope="module")
def beating(backed_up: Site) -> Site:  # noqa: F811
    """A site whose archive holds heartbeats after its newest set."""
    from ops_platform_tests.dr.practice import archive_now, strike

    strike(backed_up, 4)
    archive_now(backed_up)
    return backed_up
