-- depends: 0009_slo_alerts_and_exclusions
-- Rows of counts say themselves what their adjusted counts leave out, and whether ledger, figures and days hold
-- them: no clock decides, and no run has to remember what another one left.

ALTER TABLE slo_window_counts
    ADD COLUMN excluded  tstzmultirange,
    ADD COLUMN unapplied tstzmultirange,
    ADD COLUMN derived   boolean NOT NULL DEFAULT false;
ALTER TABLE slo_window_revisions ADD COLUMN excluded tstzmultirange;

COMMENT ON COLUMN slo_window_counts.excluded IS
    'What the adjusted counts leave out of the window, whether or not anything happened in it. NULL: not known.';
COMMENT ON COLUMN slo_window_counts.unapplied IS
    'What was to be left out when Prometheus had no samples of the window any more. Not tried again for the same.';
COMMENT ON COLUMN slo_window_counts.derived IS
    'Ledger, figures and stored days have been made from these counts. False from each change until they have.';
COMMENT ON COLUMN slo_window_counts.checked_at IS
    'When it was counted last, whether or not that changed anything; computed_at: when it last changed. Decides nothing.';

-- Of what an exclusion ever touched nobody knows what was applied: NULL, and the next run looks. A killed run
-- may have left hours without what follows: of the last month it is made again, once.
UPDATE slo_window_counts AS c SET
    derived = c.window_seconds <> 3600 OR c.window_start < now() - interval '31 days',
    excluded = CASE WHEN NOT EXISTS (
        SELECT FROM slo_exclusions AS e
        WHERE e.service = c.service AND (e.slo IS NULL OR e.slo = c.slo)
          AND e.starts_at < c.window_start + make_interval(secs => c.window_seconds)
          AND e.ends_at > c.window_start) THEN '{}'::tstzmultirange END;

CREATE INDEX slo_window_counts_underived ON slo_window_counts (service, slo, window_start) WHERE NOT derived;

CREATE VIEW slo_excluded_hours AS
SELECT c.service, c.slo, c.window_start, c.indicator, c.excluded, c.unapplied, w.whole,
       coalesce(range_agg(tstzrange(e.starts_at, e.ends_at, '(]') * w.whole) FILTER (WHERE e.withdrawn_at IS NULL),
                '{}'::tstzmultirange) AS wanted
FROM slo_exclusions AS e
JOIN slo_window_counts AS c
  ON c.service = e.service AND (e.slo IS NULL OR c.slo = e.slo) AND c.window_seconds = 3600
 AND c.window_start < e.ends_at AND c.window_start > e.starts_at - interval '1 hour'
CROSS JOIN LATERAL (
    SELECT tstzrange(c.window_start, c.window_start + interval '1 hour', '(]') AS whole) AS w
GROUP BY c.service, c.slo, c.window_start, c.window_seconds, w.whole;

COMMENT ON VIEW slo_excluded_hours IS
    'The hours that exclusions touch, withdrawn ones too: what the adjusted counts leave out (excluded), and what '
    'they should (wanted). Events belong to (start, end], and so do these ranges.';

GRANT SELECT ON slo_excluded_hours TO ops_worker, ops_agent;
