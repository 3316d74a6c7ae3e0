-- depends: 0011_slo_periods_and_texts
-- An exclusion of a service touches hours of all its objectives.

CREATE INDEX slo_window_counts_hours ON slo_window_counts (service, window_start) WHERE window_seconds = 3600;

COMMENT ON COLUMN slo_window_counts.checked_at IS
    'When it was counted last, whether or not that changed anything; computed_at: when it last changed. What is '
    'unknown is counted again when it is twice as old as then.';
