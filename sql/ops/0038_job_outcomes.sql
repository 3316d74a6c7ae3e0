-- depends: 0037_gate
-- The newest failure and the newest success of each job, by the stanza or the request that its runs were for.
-- That a run failed is a state until the same succeeds: Dagster tells of it once, when it happens.
CREATE TABLE job_outcomes (
    job_name            text NOT NULL CHECK (length(job_name) BETWEEN 1 AND 200),
    stanza              text NOT NULL DEFAULT '',
    request_id          text NOT NULL DEFAULT '',
    duty                text NOT NULL,
    succeeded_at        timestamptz,
    failed_at           timestamptz,
    first_failed_at     timestamptz,
    fails               boolean NOT NULL GENERATED ALWAYS AS
                            (failed_at IS NOT NULL AND (succeeded_at IS NULL OR failed_at > succeeded_at)) STORED,
    failures            integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    run_id              text,
    cause               text CHECK (length(cause) <= 500),
    retry_expected      boolean NOT NULL DEFAULT false,
    acknowledged_by     text,
    acknowledged_because text,
    acknowledged_at     timestamptz,
    PRIMARY KEY (job_name, stanza, request_id)
);
COMMENT ON TABLE job_outcomes IS
    'The newest failure and success of each job, by stanza or request; it fails until it succeeds after failed_at.';
COMMENT ON COLUMN job_outcomes.stanza IS 'The stanza that the runs were for; empty: none.';
COMMENT ON COLUMN job_outcomes.request_id IS 'The request of a data subject that the runs were for; empty: none.';
COMMENT ON COLUMN job_outcomes.fails IS 'It failed, and has not succeeded since.';
COMMENT ON COLUMN job_outcomes.failures IS 'Failed runs in a row, up to the newest failure.';
COMMENT ON COLUMN job_outcomes.first_failed_at IS 'End of the first failed run of that row.';
COMMENT ON COLUMN job_outcomes.retry_expected IS 'Dagster said that it starts the newest failed run again.';
COMMENT ON COLUMN job_outcomes.acknowledged_at IS 'Somebody takes care of the newest failure; the next one is told again.';

GRANT SELECT, INSERT, UPDATE, DELETE ON job_outcomes TO ops_worker;
GRANT SELECT ON job_outcomes TO ops_agent;
