"""A database's address is told without its password."""

from __future__ import annotations

import pytest

from ops_platform.clients.postgres import connection as postgres


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://ann:s3cret@db.example:6000/shop?sslmode=verify-full", "db.example:6000/shop"),
        ("postgresql+psycopg2://ann:s3cret@/dagster?host=/run/postgresql", "/run/postgresql:5432/dagster"),
        ("host=db.example user=ann password=s3cret dbname=shop", "db.example:5432/shop"),
        ("host=/run/postgresql dbname=shop password='s3cret x'", "/run/postgresql:5432/shop"),
        ("postgresql://ops_worker@/ops?host=/run/postgresql&port=5433", "/run/postgresql:5433/ops"),
        ("postgresql:///ops", "local socket:5432/ops"),
        ("password=s3cret shop", "an address that cannot be read"),
        ("postgresql://ann:s3cret@[db.example/shop", "an address that cannot be read"),
        ("postgresql://ann:s3%zzcret@db.example/shop", "an address that cannot be read"),
        ("postgresql://ann:s3/cret@db.example/shop", "an address that cannot be read"),
        ("postgresql://ann:53/cret@db.example/shop", "an address that cannot be read"),
        ("postgresql://one.example:1,two.example:2/shop", "one.example,two.example:1,2/shop"),
    ],
)
def test_an_address_is_told_without_its_password(address: str, said: str) -> None:
    assert postgres.describe(address) == said
