"""The phases of a backup: one order for jobs and command line, and what one finds without the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.model import BackupConfig
from ops_platform.backup.taking import execution
from ops_platform.backup.taking.execution import PHASES, Backup
from ops_platform.defs.backup.jobs import JOB_KINDS, backup_job
from ops_platform.settings import load_settings
from ops_platform_tests.backup.site import Done, Site, silent

NAMES = ["preflight", "run", "verify", "record", "keep_index"]
NOTHING = cast(Any, None)


@pytest.fixture
def config() -> BackupConfig:
    return load_backups(load_settings({}))


def test_the_order_of_a_backup() -> None:
    assert [phase.name for phase in PHASES] == NAMES


@pytest.mark.parametrize("name", JOB_KINDS)
def test_the_jobs_have_the_phases_in_that_order(config: BackupConfig, name: str) -> None:
    job = backup_job(name, config)
    assert [node.name for node in job.nodes_in_topological_order] == NAMES


def test_a_report_that_no_phase_has_made_cannot_be_read() -> None:
    with pytest.raises(AttributeError, match="report"):
        _ = Backup(NOTHING, NOTHING, print, print).report


@pytest.mark.services
def test_each_phase_adopts_what_an_earlier_attempt_did(backed_up: Site, second_backup: Done) -> None:
    """As the ops of a job that is replayed from any of them: each begins with nothing but the request."""
    labels, row = backed_up.labels(), backed_up.report(second_backup.request.run_id)
    seen = {}
    for phase in PHASES:
        backup = Backup(backed_up.context, second_backup.request, silent, silent)
        seen[phase.name] = phase.perform(backup)
        if phase.name == "record":
            assert backup.report == second_backup.report
    assert seen["run"] == {"label": second_backup.report.backup_set.label, "adopted": False}
    assert seen["keep_index"] == {"kept": 0, "configured": True}
    assert backed_up.labels() == labels
    assert backed_up.report(second_backup.request.run_id) == row
    # Of a replay, the set is an earlier run's.
    again = replace(second_backup.request, run_id="another run")
    assert Backup(backed_up.context, again, silent, silent).taken.adopted
    assert execution.require_taken(backed_up.context, again).label == seen["run"]["label"]
