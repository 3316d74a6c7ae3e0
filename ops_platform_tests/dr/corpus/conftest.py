"""The source of the corpus, once a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform_tests.backup.site import Site
    from ops_platform_tests.dr.corpus.lab import Lab
    from ops_platform_tests.dr.corpus.restored_copy import RestoredOnce


@pytest.fixture(scope="session")
def lab(make_site: Callable[..., Site]) -> Lab:
    from ops_platform_tests.dr.corpus.source import make_lab

    return make_lab(make_site)


@pytest.fixture(scope="session")
def once(lab: Lab) -> RestoredOnce:
    from ops_platform_tests.dr.corpus.restored_copy import restore_once

    return restore_once(lab)
