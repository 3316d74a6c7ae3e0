-- depends: 0004_published_tables
-- Objectives: exact counts with where they come from, what they were before, and a ledger of the budget.

CREATE TABLE slo_objectives (
    service    text NOT NULL,
    slo        text NOT NULL,
    version    text NOT NULL,
    indicator  text NOT NULL,
    target     numeric NOT NULL CHECK (target > 0 AND target <= 1),
    period     text NOT NULL,
    definition jsonb NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, slo, version)
);

COMMENT ON TABLE slo_objectives IS
    'Every version of an objective that figures were made with, so that they can be read a year later.';
COMMENT ON COLUMN slo_objectives.indicator IS 'The version of what is counted; counts depend on nothing else.';

ALTER TABLE slo_window_counts
    ADD COLUMN indicator        text,
    ADD COLUMN fingerprint      text,
    ADD COLUMN adjusted_good    bigint CHECK (adjusted_good >= 0),
    ADD COLUMN adjusted_total   bigint CHECK (adjusted_total >= 0),
    ADD COLUMN scrapes_expected integer,
    ADD COLUMN scrapes_seen     integer,
    ADD COLUMN resets           integer,
    ADD COLUMN settled          boolean NOT NULL DEFAULT false,
    ADD COLUMN revision         integer NOT NULL DEFAULT 1 CHECK (revision > 0),
    ADD COLUMN run_id           text,
    ADD COLUMN checked_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CHECK (adjusted_good <= adjusted_total),
    ADD CHECK (adjusted_total <= total);

COMMENT ON COLUMN slo_window_counts.fingerprint IS
    'Of every sample that the counts depend on: the same fingerprint and indicator give the same counts.';
COMMENT ON COLUMN slo_window_counts.adjusted_total IS
    'Without what slo_exclusions leave out; equal to total where nothing is left out. NULL when it is unknown.';
COMMENT ON COLUMN slo_window_counts.checked_at IS
    'When it was counted last, whether or not that changed anything; computed_at: when it last changed.';
COMMENT ON COLUMN slo_window_counts.settled IS
    'Final: the samples have not changed for so long that no late ones are expected. Until then provisional.';

CREATE TABLE slo_window_revisions (
    LIKE slo_window_counts INCLUDING COMMENTS,
    superseded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, slo, window_start, window_seconds, revision)
);

COMMENT ON TABLE slo_window_revisions IS
    'What rows of slo_window_counts said before late samples, an exclusion or another indicator changed them.';

CREATE TABLE slo_budget_ledger (
    id             bigserial PRIMARY KEY,
    service        text NOT NULL,
    slo            text NOT NULL,
    version        text NOT NULL,
    window_start   timestamptz NOT NULL,
    window_seconds integer NOT NULL,
    total          bigint NOT NULL,
    debit          bigint NOT NULL,
    reason         text NOT NULL CHECK (reason IN ('counted', 'corrected')),
    entered_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id         text,
    FOREIGN KEY (service, slo, version) REFERENCES slo_objectives
);
CREATE INDEX slo_budget_ledger_window ON slo_budget_ledger (service, slo, version, window_start);

COMMENT ON TABLE slo_budget_ledger IS
    'Events and bad events by window, appended only. A corrected window gets an entry with the difference: '
    'the sum over a window is what is known of it now, the sum up to a moment what was known then.';
COMMENT ON COLUMN slo_budget_ledger.debit IS 'Bad events; negative where a correction takes some back.';

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON slo_budget_ledger
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON slo_budget_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE slo_budget_ledger ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE slo_budget_ledger ENABLE ALWAYS TRIGGER refuse_truncate;

ALTER TABLE slo_metrics
    ADD COLUMN slo_window text,
    ADD COLUMN version    text,
    ADD COLUMN state      text CHECK (state IN ('ok', 'no_data', 'source_missing')),
    ADD COLUMN burn_rate  numeric;
-- One figure for each objective, window and moment; rows of the published shape have no window by name.
CREATE UNIQUE INDEX slo_metrics_figure ON slo_metrics (service_name, metric_name, slo_window, measured_at)
    WHERE slo_window IS NOT NULL;

COMMENT ON COLUMN slo_metrics.slo_window IS 'Up to measured_at: 1d, 7d, 30d, or month (the calendar month in UTC).';
COMMENT ON COLUMN slo_metrics.burn_rate IS
    'How many times faster than allowed the budget was spent. NULL: unknown, no traffic, or a target of 100 %.';

GRANT SELECT, INSERT ON slo_objectives, slo_window_revisions, slo_budget_ledger TO ops_worker;
GRANT USAGE ON SEQUENCE slo_budget_ledger_id_seq TO ops_worker;
GRANT SELECT ON slo_objectives, slo_window_revisions, slo_budget_ledger TO ops_agent;
