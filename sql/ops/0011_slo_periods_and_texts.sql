-- depends: 0009_slo_alerts_and_exclusions
-- What columns mean, said rightly: figures over an objective's own period, which events are in a window.

COMMENT ON TABLE slo_window_counts IS
    'Exact events of an objective in a window: those that a scrape first showed after window_start and up to '
    'window_start + window_seconds, the end included. Every percentage is derived from sums of these, never from '
    'other percentages.';
COMMENT ON COLUMN slo_window_counts.fingerprint IS
    'Of the samples and scrapes in and around the window, and of what is counted: another fingerprint says that '
    'others were read. What is excluded is not in it: adjusted_good and adjusted_total change without it.';
COMMENT ON COLUMN slo_window_revisions.fingerprint IS
    'Of the samples and scrapes in and around the window, and of what is counted: another fingerprint says that '
    'others were read. What is excluded is not in it: adjusted_good and adjusted_total change without it.';
COMMENT ON COLUMN slo_metrics.slo_window IS
    'Up to measured_at: 1d, 7d, 30d, month (the calendar month in UTC), and the objective''s own period, such as 28d.';
COMMENT ON COLUMN slo_metrics.alert_fired IS
    'Alertmanager reported a burn alert of the objective within the window, or in the hour after it, before the next '
    'figure. Other alerts that carry its labels do not count.';
