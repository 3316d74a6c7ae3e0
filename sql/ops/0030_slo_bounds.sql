-- depends: 0013_slo_hours_of_a_service
-- An hour that cannot be counted carries least and most events, and figures over it say between what they lie:
-- one unknown hour no longer hides a month. Columns are added, and one list of values is widened; nothing else.

ALTER TABLE slo_window_counts
    ADD COLUMN good_least          bigint CHECK (good_least >= 0),
    ADD COLUMN good_most           bigint,
    ADD COLUMN bad_least           bigint CHECK (bad_least >= 0),
    ADD COLUMN bad_most            bigint,
    ADD COLUMN adjusted_good_least bigint CHECK (adjusted_good_least >= 0),
    ADD COLUMN adjusted_good_most  bigint,
    ADD COLUMN adjusted_bad_least  bigint CHECK (adjusted_bad_least >= 0),
    ADD COLUMN adjusted_bad_most   bigint,
    ADD CHECK (good_least <= good_most),
    ADD CHECK (bad_least <= bad_most),
    ADD CHECK (adjusted_good_least <= adjusted_good_most),
    ADD CHECK (adjusted_bad_least <= adjusted_bad_most);
ALTER TABLE slo_window_revisions
    ADD COLUMN good_least          bigint,
    ADD COLUMN good_most           bigint,
    ADD COLUMN bad_least           bigint,
    ADD COLUMN bad_most            bigint,
    ADD COLUMN adjusted_good_least bigint,
    ADD COLUMN adjusted_good_most  bigint,
    ADD COLUMN adjusted_bad_least  bigint,
    ADD COLUMN adjusted_bad_most   bigint;

COMMENT ON COLUMN slo_window_counts.bad_most IS
    'The most bad events of a window that cannot be counted; with bad_least, good_least and good_most its bounds. '
    'NULL: the window is known, or nothing bounds it.';
COMMENT ON COLUMN slo_window_counts.adjusted_bad_most IS
    'As bad_most, without what slo_exclusions leave out. NULL: the adjusted counts are known, or nothing bounds them.';

ALTER TABLE slo_metrics
    DROP CONSTRAINT slo_metrics_state_check,
    ADD CONSTRAINT slo_metrics_state_check CHECK (state IN ('ok', 'no_data', 'bounded', 'source_missing')),
    ADD COLUMN verdict                      text CHECK (verdict IN ('met', 'at risk', 'breached', 'undecided')),
    ADD COLUMN windows_expected             integer,
    ADD COLUMN windows_known                integer,
    ADD COLUMN violation_count_least        bigint,
    ADD COLUMN violation_count_most         bigint,
    ADD COLUMN actual_percentage_least      numeric,
    ADD COLUMN actual_percentage_most       numeric,
    ADD COLUMN error_budget_remaining_least numeric,
    ADD COLUMN error_budget_remaining_most  numeric;

COMMENT ON COLUMN slo_metrics.verdict IS
    'What is certain: met (more than a quarter of the budget is left, whatever the unknown hours held), at risk (some '
    'is left), breached (nothing is left, even at best), undecided (that depends on what is unknown). NULL: of a '
    'figure that was made before there were verdicts.';
COMMENT ON COLUMN slo_metrics.state IS
    'ok and no_data (no events): all hours are known. bounded: some are not, and their least and most events are. '
    'source_missing: of some hours there is no bound.';
COMMENT ON COLUMN slo_metrics.actual_percentage_least IS
    'The worst that the unknown hours leave possible; equal to actual_percentage when all are known. NULL: no bound.';
COMMENT ON COLUMN slo_metrics.windows_known IS 'Of windows_expected hours; the others are bounded or missing.';

UPDATE slo_metrics SET
    verdict = CASE WHEN state = 'source_missing' THEN 'undecided' WHEN breach_severity = 'critical' THEN 'breached'
                   WHEN breach_severity = 'warning' THEN 'at risk' ELSE 'met' END,
    violation_count_least = violation_count, violation_count_most = violation_count,
    actual_percentage_least = actual_percentage, actual_percentage_most = actual_percentage,
    error_budget_remaining_least = error_budget_remaining, error_budget_remaining_most = error_budget_remaining
WHERE slo_window IS NOT NULL;
