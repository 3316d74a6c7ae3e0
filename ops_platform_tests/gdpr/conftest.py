"""An ops database with requests, for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops_platform_tests.gdpr.requests_database import Requests, requests_of
from ops_platform_tests.services import OpsDatabase


@pytest.fixture
def table(ops_database: OpsDatabase) -> Iterator[Requests]:
    with requests_of(ops_database) as table:
        yield table
