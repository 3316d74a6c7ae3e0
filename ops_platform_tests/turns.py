"""In which order groups of tests begin, so that all workers of pytest-xdist end at about the same time."""

from __future__ import annotations

# Longest first, so that none of them begins when the other workers have nothing left. pytest-xdist's own
# order, by the number of tests, is switched off in the Makefile: the longest groups have few.
LONGEST = (
    "stack",
    "stack-faults",
    "e2e/test_slo_alerts.py",
    "dr/corpus/test_healthy.py",
    "e2e/test_runbooks.py",
    "dr/corpus/test_data.py",
    "dr/corpus/test_repository.py",
    "dr/corpus/test_course.py",
    "dr/corpus/test_odd.py",
    "dr/corpus/test_s3.py",
    "agent/test_alert_pipe.py",
    "slo/counting/test_counter_deltas.py",
    "agent/test_agent.py",
    "backup/taking/test_killed.py",
    "backup/taking/test_outage.py",
    "dr/exercise/test_killed_worker.py",
    "gdpr/erasure/test_pipeline.py",
    "local/demo/history/test_blocks.py",
    "dr/verification/test_erasure_replay.py",
    "gdpr/subject/test_names_that_change_hands.py",
    "backup/taking/test_execution.py",
    "dr/exercise/test_runner.py",
    "backup/proof/test_rolling.py",
    "backup/taking/test_preflight.py",
    "gdpr/export/test_content.py",
    "backup/retention/test_cleanup.py",
    "dr/emergency/test_restore_command.py",
    "local/demo/traffic/test_traffic.py",
    "gdpr/erasure/test_state_machine.py",
    "slo/reporting/test_killed.py",
    "gdpr/after_restore/test_replay_meanwhile.py",
    "dashboards/test_prometheus_rules.py",
    "test_architecture.py",
)
# A stack that has just started has its archived heartbeats and all its metrics after two minutes, and the
# first evaluation of some rules after five: what waits for them comes behind what does not, and before a
# crash of all.
ON_THE_STACK = ("e2e/test_backups", "e2e/test_slo", "e2e/", "dashboards/", "local/")

# Of the two processes of `make test-fast`, the first reads the modules that load Dagster, the rules that
# parse all sources, and as many others as make the two end at about the same time.
FIRST_HALF = (
    "test_",
    "backup/",
    "clients/object_store/",
    "clients/pgbackrest/",
    "clients/test_dagster.py",
    "clients/test_safe_errors.py",
    "dashboards/",
    "dr/plan/",
    "defs/",
    "housekeeping/",
    "slo/importing/",
    "slo/objectives/",
    "slo/reporting/test_figures.py",
    "slo/reporting/test_rule_reconciliation.py",
    "slo/test_corpus.py",
)


def half(module: str) -> int:
    """The half of `make test-fast` that a test module belongs to: 0 or 1."""
    return 0 if module.startswith(FIRST_HALF) else 1


def module(nodeid: str) -> str:
    """The test module of a test's name, below ``ops_platform_tests``."""
    return nodeid.partition("::")[0].removeprefix("ops_platform_tests/")


def turn(nodeid: str, group: str) -> tuple[int, int]:
    """The place of a test's group among all, and of the test within its group."""
    among = LONGEST.index(group) if group in LONGEST else len(LONGEST)
    if group != "stack":
        return among, 0
    return among, next(
        (number for number, name in enumerate(ON_THE_STACK) if module(nodeid).startswith(name)), 0
    )
