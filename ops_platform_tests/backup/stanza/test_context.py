"""Whether a context reads the stanza's own repository, or that of a workspace."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ops_platform.backup.stanza.context import open_context
from ops_platform.settings import load_settings


def test_a_workspaces_configuration_is_not_the_stanzas_own(tmp_path: Path) -> None:
    config = tmp_path / "own" / "pgbackrest.conf"
    settings = load_settings(
        {
            "PATH": os.environ["PATH"],
            "OPS_STATE_DIR": str(tmp_path),
            "OPS_PGBACKREST_CONFIG_FILE": str(config),
        }
    )
    own = open_context(settings, "product")
    assert own.reads_live
    other = replace(own.pgbackrest, config_file=tmp_path / "workspace" / "pgbackrest.conf")
    assert not replace(own, pgbackrest=other).reads_live
