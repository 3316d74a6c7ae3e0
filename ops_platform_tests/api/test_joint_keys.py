"""A bearer token names a subject by one value: with a key of several columns the API does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.api.service import open_service
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

MAP = """
version: 1
subject: {kind: customer, table: customers, key: [tenant_id, id], email: email}
tables:
  customers:
    purpose: accounts
    retention: as long as the account
    personal: [email]
    rows: [{role: account, column: [tenant_id, id], holds: [tenant_id, id], erase: delete, export: own}]
"""


def test_a_key_of_several_columns_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "data_map.yaml").write_text(MAP, encoding="utf-8")
    settings = load_settings({"OPS_CONFIG_DIR": str(tmp_path), "OPS_DATABASE_URL": "unused"})
    with pytest.raises(ConfigurationError, match=r"has the columns tenant_id, id, .*command line"):
        open_service(settings)
