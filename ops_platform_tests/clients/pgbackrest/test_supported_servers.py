"""Which pgBackRest knows which PostgreSQL."""

from __future__ import annotations

import pytest

from ops_platform.clients.pgbackrest import supported_servers


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ((2, 40), 14),
        ((2, 45), 15),
        ((2, 46), 16),
        ((2, 53), 17),
        ((2, 54, 2), 17),
        ((2, 55), 18),
        ((2, 59), 19),
        ((3, 0), 19),
    ],
)
def test_the_newest_server_that_a_release_knows(version: tuple[int, ...], major: int) -> None:
    assert supported_servers.newest_known(version) == major
