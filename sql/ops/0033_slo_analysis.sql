-- depends: 0032_gdpr_copies_said_received
-- Views for analysts, in a schema of their own: what is counted, without names of operators, and with nothing of
-- data subjects. Their role, ops_analyst, is made by sql/roles/ops.sql, which gives it these views, too, where it is
-- run later than this.

CREATE SCHEMA analysis;
COMMENT ON SCHEMA analysis IS
    'What analysts read: exact counts of objectives, bounds, figures, the budget''s ledger, what is left out.';

CREATE VIEW analysis.objectives AS
SELECT service, slo, version, indicator, target, period, definition, first_seen
FROM slo_objectives;

CREATE VIEW analysis.hours AS
SELECT service, slo, window_start AS hour,
       CASE WHEN total IS NULL AND bad_most IS NULL THEN 'source_missing' WHEN total IS NULL THEN 'bounded'
            WHEN total = 0 THEN 'no_data' ELSE 'ok' END AS state,
       good, total - good AS bad, total,
       adjusted_good, adjusted_total - adjusted_good AS adjusted_bad, adjusted_total,
       coalesce(good, good_least) AS good_least, coalesce(good, good_most) AS good_most,
       coalesce(total - good, bad_least) AS bad_least, coalesce(total - good, bad_most) AS bad_most,
       coalesce(adjusted_good, adjusted_good_least) AS adjusted_good_least,
       coalesce(adjusted_good, adjusted_good_most) AS adjusted_good_most,
       coalesce(adjusted_total - adjusted_good, adjusted_bad_least) AS adjusted_bad_least,
       coalesce(adjusted_total - adjusted_good, adjusted_bad_most) AS adjusted_bad_most,
       CASE WHEN excluded IS NOT NULL THEN coalesce(
           (SELECT sum(extract(epoch FROM upper(part) - lower(part))) FROM unnest(excluded) AS part), 0)
       END::double precision AS excluded_seconds,
       reason, scrapes_expected, scrapes_seen, resets, NOT settled AS provisional, indicator, revision, computed_at,
       run_id
FROM slo_window_counts WHERE window_seconds = 3600;

CREATE VIEW analysis.days AS
SELECT service, slo, window_start AS day,
       CASE WHEN total IS NULL AND bad_most IS NULL THEN 'source_missing' WHEN total IS NULL THEN 'bounded'
            WHEN total = 0 THEN 'no_data' ELSE 'ok' END AS state,
       good, total - good AS bad, total,
       adjusted_good, adjusted_total - adjusted_good AS adjusted_bad, adjusted_total,
       coalesce(good, good_least) AS good_least, coalesce(good, good_most) AS good_most,
       coalesce(total - good, bad_least) AS bad_least, coalesce(total - good, bad_most) AS bad_most,
       reason, indicator, revision, computed_at, run_id
FROM slo_window_counts WHERE window_seconds = 86400;

CREATE VIEW analysis.figures AS
SELECT service_name AS service, metric_name AS slo, slo_window AS period, measured_at, verdict, state,
       success_count AS good, violation_count AS bad, sample_count AS total,
       violation_count_least AS bad_least, violation_count_most AS bad_most,
       target_percentage, actual_percentage, actual_percentage_least, actual_percentage_most,
       error_budget_remaining, error_budget_remaining_least, error_budget_remaining_most,
       burn_rate, windows_known AS hours_known, windows_expected AS hours_expected, alert_fired, version, run_id
FROM slo_metrics WHERE slo_window IS NOT NULL;

CREATE VIEW analysis.ledger AS
SELECT id, service, slo, version, window_start AS hour, total, debit, reason, entered_at, run_id
FROM slo_budget_ledger WHERE window_seconds = 3600;

CREATE VIEW analysis.exclusions AS
SELECT id, service, slo, starts_at, ends_at, reason, created_at, withdrawn_at
FROM slo_exclusions;

COMMENT ON VIEW analysis.objectives IS 'A version of an objective that figures were made with.';
COMMENT ON VIEW analysis.hours IS 'The events of an objective in an hour, exact, or their least and most.';
COMMENT ON VIEW analysis.days IS 'The events of an objective in a day of UTC, as the sums of its hours.';
COMMENT ON VIEW analysis.figures IS 'What was reported of an objective over a period up to a moment.';
COMMENT ON VIEW analysis.ledger IS 'An entry of the error budgets'' ledger: bad events of an hour, or a correction.';
COMMENT ON VIEW analysis.exclusions IS 'A time that an agreement leaves out; withdrawn ones, too.';

DO $$
DECLARE
    said jsonb := '{
        "service": "The service of the objective.",
        "slo": "The name of the objective within its service; of an exclusion NULL: all of the service.",
        "version": "Of indicator, target and period together: it changes with any of them.",
        "indicator": "The version of what is counted. Sum only hours of one indicator.",
        "target": "The share of events that must be good, above 0 and up to 1.",
        "period": "What the budget is for: a number of days that rolls, or a calendar period.",
        "definition": "Title, description and what is counted, as they were.",
        "first_seen": "When figures were first made with this version.",
        "hour": "Where the hour begins; events are those of (hour, hour + 1 h].",
        "day": "Midnight in UTC at which the day begins.",
        "state": "ok; no_data: nothing happened; bounded: least and most are known; source_missing: nothing bounds it.",
        "good": "Good events. NULL: not known.",
        "bad": "Bad events. NULL: not known.",
        "total": "All events. NULL: not known.",
        "adjusted_good": "Good events without what is left out; budgets use the adjusted ones. NULL: not known.",
        "adjusted_bad": "Bad events without what is left out. NULL: not known.",
        "adjusted_total": "All events without what is left out. NULL: not known.",
        "good_least": "The fewest good events that there can have been; good where it is known. NULL: no bound.",
        "good_most": "The most good events. NULL: no bound.",
        "bad_least": "The fewest bad events. NULL: no bound.",
        "bad_most": "The most bad events. NULL: no bound.",
        "adjusted_good_least": "As good_least, without what is left out.",
        "adjusted_good_most": "As good_most, without what is left out.",
        "adjusted_bad_least": "As bad_least, without what is left out.",
        "adjusted_bad_most": "As bad_most, without what is left out.",
        "excluded_seconds": "How much of the hour the adjusted counts leave out. NULL: not known.",
        "reason": "Why it is not known; of a ledger entry counted or corrected; of an exclusion what it was for.",
        "scrapes_expected": "Scrapes of all targets that there should have been.",
        "scrapes_seen": "Scrapes that there were.",
        "resets": "How often counters began anew.",
        "provisional": "Late samples may still change it.",
        "revision": "1, and one more with each change.",
        "computed_at": "When it last changed.",
        "run_id": "The run that wrote it: /runs/ID in Dagster.",
        "measured_at": "The end of the period that the figure is of.",
        "verdict": "met, at risk, breached or undecided, whatever the unknown hours held. NULL: of older figures.",
        "target_percentage": "The target, in percent.",
        "actual_percentage": "The share of good events, in percent. NULL: no events, or not known.",
        "actual_percentage_least": "Its worst, whatever the unknown hours held.",
        "actual_percentage_most": "Its best.",
        "error_budget_remaining": "In percent of the budget; negative when overspent. NULL: not known, or no budget.",
        "error_budget_remaining_least": "Its worst.",
        "error_budget_remaining_most": "Its best.",
        "burn_rate": "How many times faster than allowed the budget was spent.",
        "hours_known": "Hours of the period whose events are known.",
        "hours_expected": "Hours of the period.",
        "alert_fired": "A burn alert of the objective was delivered within the period.",
        "id": "The number of the row.",
        "debit": "Bad events; negative where a correction takes some back.",
        "entered_at": "When it was entered.",
        "starts_at": "Where the excluded time begins.",
        "ends_at": "Where it ends.",
        "created_at": "When the exclusion was made.",
        "withdrawn_at": "From then on it leaves nothing out. NULL: in force."}';
    place record;
BEGIN
    FOR place IN SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'analysis' LOOP
        EXECUTE format('COMMENT ON COLUMN analysis.%I.%I IS %L', place.table_name, place.column_name,
                       said ->> place.column_name);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA analysis TO ops_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA analysis TO ops_worker;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_analyst') THEN
        GRANT USAGE ON SCHEMA analysis TO ops_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analysis TO ops_analyst;
    END IF;
END $$;
