-- depends: 0008_slo
-- alert_fired: what Alertmanager reported of an objective, in the figure that was current then.
-- Exclusions are withdrawn, not deleted: the hours that they touched must be counted again.

CREATE INDEX alert_deliveries_objective ON alert_deliveries (service, slo, received_at)
    WHERE slo IS NOT NULL AND status = 'firing';

COMMENT ON COLUMN slo_metrics.alert_fired IS
    'Alertmanager reported an alert of the objective within the window, or in the hour after it, before the next figure.';

GRANT UPDATE (alert_fired) ON slo_metrics TO ops_agent;

ALTER TABLE slo_exclusions ADD COLUMN withdrawn_at timestamptz;
ALTER TABLE slo_exclusions ADD COLUMN withdrawn_by text CHECK ((withdrawn_by IS NULL) = (withdrawn_at IS NULL));
COMMENT ON COLUMN slo_exclusions.withdrawn_at IS 'From then on it excludes nothing; the row stays as a record.';
REVOKE DELETE ON slo_exclusions FROM ops_worker;
