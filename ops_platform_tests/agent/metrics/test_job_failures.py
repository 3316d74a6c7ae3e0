"""Jobs that fail: each with count, begin and cause; a database that was not read tells nothing."""

from __future__ import annotations

from ops_platform_tests.agent.metrics.scraping import NOW, empty, full, scrape

WORK = (("job_name", "backup_incr"), ("request", ""), ("stanza", "product"))


def test_what_fails_is_exported_with_its_cause() -> None:
    samples = {key: value for key, value in scrape(full()).items() if key[0].startswith("dagster_job_")}
    with_duty = (("duty", "backup"), *WORK)
    assert samples == {
        ("dagster_job_outcomes_known", ()): 1,
        ("dagster_job_failures", with_duty): 2,
        ("dagster_job_failing_since_timestamp_seconds", with_duty): NOW - 100,
        (
            "dagster_job_failure_info",
            (("cause", "S3 is away: start it"), WORK[0], WORK[1], ("run_id", "run-2"), WORK[2]),
        ): 1,
    }


def test_where_nothing_was_read_nothing_is_known_and_where_nothing_fails_that_is() -> None:
    known = empty()
    assert not any(name.startswith("dagster_job_") for name, _ in scrape(known))
    known.job_failures.failing.put([])
    assert {name for name, _ in scrape(known) if name.startswith("dagster_job_")} == {
        "dagster_job_outcomes_known"
    }
