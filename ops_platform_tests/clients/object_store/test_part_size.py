"""Sizes of the parts of an upload."""

from __future__ import annotations

from ops_platform.clients.object_store import multipart
from ops_platform.clients.object_store.multipart import PART


def test_the_parts_of_a_large_object_fit_into_the_stores_limit() -> None:
    sizes = (PART * (1 + number // multipart.GROWS_EVERY) for number in range(10_000))
    assert sum(sizes) > 400 * 10**9
