"""The janitor launches a cleanup for what killed exercises left, again after one that failed."""

from pathlib import Path

import dagster as dg
import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.definitions import build_defs
from ops_platform.defs.dr.sensors import LEFTOVERS_TAG, scratch_cluster_janitor
from ops_platform.defs.resources import PlatformResource
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.restore.scratch_cluster import scratch_root
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

DEAD = ExerciseRequest("scheduled", "product", "latest", "dead", "dead", 1_800_000, 900_000)


class Known(PlatformResource):
    """The platform of one test."""

    url: str
    state_dir: str

    def settings(self) -> Settings:
        return load_settings({"OPS_STATE_DIR": self.state_dir, "OPS_DATABASE_URL": self.url})


def test_what_is_left_over_is_cleaned_up_once_and_again_when_that_failed(
    ops_database: OpsDatabase, tmp_path: Path
) -> None:
    platform = Known(url=ops_database.url("ops_worker"), state_dir=str(tmp_path))
    job = build_defs(platform.settings(), {"platform": platform}).resolve_job_def("scratch_cluster_cleanup")
    with dg.DagsterInstance.ephemeral() as instance:

        def tick() -> dg.RunRequest | None:
            context = dg.build_sensor_context(instance, resources={"platform": platform})
            found = scratch_cluster_janitor(context)
            return found if isinstance(found, dg.RunRequest) else None

        assert tick() is None

        abandoned = scratch_root(platform.settings()) / ".new-999999999-gone"
        abandoned.mkdir(parents=True)
        first = tick()
        assert first is not None
        again = tick()
        assert again is not None
        assert again.run_key == first.run_key
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags=dict(first.tags))
        retried = tick()
        assert retried is not None
        assert retried.run_key != first.run_key
        assert abandoned.exists()

        with postgres.session(platform.url) as ops:
            records.open_exercise(ops, DEAD)
        both = tick()
        assert both is not None
        assert both.tags[LEFTOVERS_TAG] != first.tags[LEFTOVERS_TAG]
        assert job.execute_in_process(instance=instance).success
        assert not abandoned.exists()
        with postgres.session(platform.url) as ops:
            (row,) = records.history(ops)
        assert (row["result"], row["reconciled"]) == ("failed", True)
        assert tick() is None
