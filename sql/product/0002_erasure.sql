-- depends: 0001_heartbeat
-- How far an erasure of rows has come, in the database whose rows they are: each batch and its note are
-- one transaction, so that a run that was killed goes on where it stopped. Nothing here names the person;
-- the pseudonym and the stand-in's key are destroyed with the row when the erasure is complete.

CREATE TABLE ops_platform.erasures (
    erasure_id TEXT PRIMARY KEY,
    map_version TEXT NOT NULL,
    pseudonym UUID NOT NULL DEFAULT gen_random_uuid(),
    stand_in TEXT,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops_platform.erasures IS
    'Erasures that are under way; removed when they are complete, and with it the only link from a pseudonym to an erasure.';
COMMENT ON COLUMN ops_platform.erasures.stand_in IS
    'Key of the row of the subject table that takes the erased person''s place in what others share; NULL until it is needed.';

CREATE TABLE ops_platform.erasure_steps (
    erasure_id TEXT NOT NULL REFERENCES ops_platform.erasures (erasure_id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    table_name TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    counted_before BIGINT NOT NULL,
    changed BIGINT NOT NULL DEFAULT 0,
    control JSONB NOT NULL DEFAULT '{}',
    finished_at TIMESTAMPTZ,
    PRIMARY KEY (erasure_id, step),
    UNIQUE (erasure_id, table_name, role, action)
);
COMMENT ON TABLE ops_platform.erasure_steps IS
    'What an erasure that is under way has done to which table, in numbers.';
COMMENT ON COLUMN ops_platform.erasure_steps.control IS
    'What was compared to show that nobody else''s rows changed: numbers of transactions, of rows beside the changed ones.';

GRANT USAGE ON SCHEMA ops_platform TO ops_eraser;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops_platform.erasures, ops_platform.erasure_steps TO ops_eraser;
