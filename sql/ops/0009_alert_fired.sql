-- depends: 0008_slo
-- alert_fired: what Alertmanager reported of an objective, in the figure that was current then.

CREATE INDEX alert_deliveries_objective ON alert_deliveries (service, slo, received_at)
    WHERE slo IS NOT NULL AND status = 'firing';

COMMENT ON COLUMN slo_metrics.alert_fired IS
    'Alertmanager reported an alert of the objective within the window, or in the hour after it, before the next figure.';

GRANT UPDATE (alert_fired) ON slo_metrics TO ops_agent;
