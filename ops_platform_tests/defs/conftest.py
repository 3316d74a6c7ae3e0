"""The definitions, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dagster import Definitions


@pytest.fixture(scope="session")
def defs() -> Definitions:
    """As a code server without a stack sees them."""
    from ops_platform.definitions import build_defs
    from ops_platform.settings import load_settings

    return build_defs(load_settings({"OPS_STATE_DIR": "/nonexistent"}))
