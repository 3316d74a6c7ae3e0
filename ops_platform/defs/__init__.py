"""All Dagster code: one package per duty, with its assets, jobs, schedules, sensors and checks.

It is thin: the work of a job is in the duty's own package, which does not know Dagster. Jobs share
``resources``, ``failures``, ``run_retries`` and ``stanza_jobs``. ``dagster.yaml`` names ``storage`` and
``launcher``.
"""

import warnings

# In beta for years or wanted all the same: said once for each use, in the log of every process that loads
# the definitions.
warnings.filterwarnings(
    "ignore", r"Parameter `(owners|backfill_policy|allow_nonexistent_upstream_partitions)` of .* in beta"
)

__all__ = ["backup", "dr", "gdpr", "housekeeping", "resources", "run_retries", "slo"]
