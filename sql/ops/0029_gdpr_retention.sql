-- depends: 0028_gdpr_sealed_identities
-- Rows whose term in the data map is over go, day by day. A run that was killed is gone on with, so that the
-- counts on record are those of everything that it deleted; the newest look at each table tells what is late.

CREATE TABLE gdpr_retention_runs (
    run_id      text PRIMARY KEY,
    stanza      text NOT NULL,
    map_version text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    problems    integer
);
CREATE UNIQUE INDEX gdpr_retention_runs_open ON gdpr_retention_runs (stanza) WHERE finished_at IS NULL;
COMMENT ON TABLE gdpr_retention_runs IS
    'Runs of retention; their counts by table are in gdpr_lineage and the audit ledger under the same id.';
COMMENT ON COLUMN gdpr_retention_runs.problems IS 'Tables whose term was not carried out; NULL until the end.';

CREATE TABLE gdpr_retention_looks (
    stanza     text NOT NULL,
    table_name text NOT NULL,
    term       text NOT NULL,
    action     text NOT NULL CHECK (action IN ('delete', 'anonymise')),
    changed    bigint NOT NULL,
    due        bigint,
    held       bigint,
    overdue    bigint,
    looked_at  timestamptz,
    problem    text,
    PRIMARY KEY (stanza, table_name)
);
COMMENT ON TABLE gdpr_retention_looks IS
    'What the newest run of retention of a stanza said of each table with a term in its data map.';
COMMENT ON COLUMN gdpr_retention_looks.overdue IS
    'Rows that are there a day and more after their term, without those under a legal hold; NULL: nobody could look.';
COMMENT ON COLUMN gdpr_retention_looks.looked_at IS 'When a look last succeeded; NULL: never.';

GRANT SELECT, INSERT, UPDATE ON gdpr_retention_runs TO ops_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON gdpr_retention_looks TO ops_worker;
GRANT SELECT (stanza, table_name, overdue, looked_at) ON gdpr_retention_looks TO ops_agent;
