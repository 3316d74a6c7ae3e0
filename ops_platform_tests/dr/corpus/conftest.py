"""The source of the corpus, once a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform_tests.backup.site import Site
    from ops_platform_tests.dr.corpus.lab import Lab


@pytest.fixture(scope="session")
def lab(make_site: Callable[..., Site]) -> Lab:
    from ops_platform_tests.dr.corpus.source import make_lab

    return make_lab(make_site)
