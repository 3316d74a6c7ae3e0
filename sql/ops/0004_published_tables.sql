-- depends: 0001_base
-- Tables that other people read and that later duties fill. The published shapes are kept; where a
-- type is wider than published, or a value may be NULL, the line says why. Columns beyond the
-- published ones are nullable or have a default, so that an insert of the published shape works.

-- Disaster recovery ------------------------------------------------------------------------------

CREATE TABLE dr_exercises (
    id                   bigserial PRIMARY KEY,
    exercise_id          text UNIQUE NOT NULL,
    exercise_type        text NOT NULL CHECK (exercise_type IN ('scheduled', 'manual', 'emergency')),
    scenario             text NOT NULL,
    started_at           timestamptz NOT NULL,
    completed_at         timestamptz,
    target_rto_ms        integer NOT NULL,
    target_rpo_ms        integer NOT NULL,
    -- Wider than integer: an archive that stopped 25 days ago is a loss of more than 2^31 ms.
    actual_rto_ms        bigint,
    actual_rpo_ms        bigint,
    result               text CHECK (result IN ('success', 'partial', 'failed')),
    success_criteria_met boolean DEFAULT false,
    stanza               text,
    backup_label         text,
    run_id               text,
    reason               text,
    verifications        jsonb NOT NULL DEFAULT '{}',
    CHECK (NOT coalesce(success_criteria_met, false) OR coalesce(result = 'success', false))
);
CREATE INDEX dr_exercises_latest ON dr_exercises (stanza, scenario, started_at DESC);

COMMENT ON TABLE dr_exercises IS 'Restores done to prove that they can be done, one row for each scenario of an exercise.';
COMMENT ON COLUMN dr_exercises.result IS
    'NULL while it runs. partial fails the run and never meets the criteria (a constraint sees to it).';
COMMENT ON COLUMN dr_exercises.actual_rto_ms IS 'Start of the restore until the server passed its verifications; NULL when it did not.';
COMMENT ON COLUMN dr_exercises.actual_rpo_ms IS 'Age of the newest restored heartbeat at the time of the disaster; NULL when unknown.';
COMMENT ON COLUMN dr_exercises.verifications IS 'Verification -> {passed, detail}; one that could not run has passed = false.';

-- SLO --------------------------------------------------------------------------------------------

CREATE TABLE slo_window_counts (
    service        text NOT NULL,
    slo            text NOT NULL,
    window_start   timestamptz NOT NULL,
    window_seconds integer NOT NULL CHECK (window_seconds > 0),
    good           bigint CHECK (good >= 0),
    total          bigint CHECK (total >= 0),
    state          text NOT NULL DEFAULT 'measured' CHECK (state IN ('measured', 'source_missing')),
    reason         text,
    computed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, slo, window_start, window_seconds),
    CHECK (good <= total),
    CHECK ((state = 'measured') = (good IS NOT NULL AND total IS NOT NULL))
);

COMMENT ON TABLE slo_window_counts IS
    'Exact events of an objective in a window [window_start, window_start + window_seconds). Every percentage is '
    'derived from sums of these, never from other percentages.';
COMMENT ON COLUMN slo_window_counts.state IS
    'source_missing: the counts cannot be known (reason says why) and stay NULL. No traffic is measured, with total = 0.';

CREATE TABLE slo_exclusions (
    id         bigserial PRIMARY KEY,
    service    text NOT NULL,
    slo        text,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    reason     text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_at > starts_at)
);

COMMENT ON TABLE slo_exclusions IS
    'Times that an agreement leaves out of an objective (announced maintenance). The counts in slo_window_counts '
    'stay whole; reports show both.';
COMMENT ON COLUMN slo_exclusions.slo IS 'NULL: every objective of the service.';

CREATE TABLE slo_metrics (
    id                     bigserial PRIMARY KEY,
    metric_name            text NOT NULL,
    service_name           text NOT NULL,
    measured_at            timestamptz NOT NULL,
    time_window_seconds    integer NOT NULL,
    -- The percentages are wider than decimal(5,2): 99.999 is a target that people set, 99.999999 must
    -- not read as 100.00, and a budget can be overspent by more than 999.99 %.
    target_percentage      numeric NOT NULL CHECK (target_percentage > 0 AND target_percentage <= 100),
    -- NULL without traffic, or when the source is missing: there is no percentage of nothing.
    actual_percentage      numeric,
    -- NULL when it is unknown, and for a target of 100 %, which has no budget to divide by.
    error_budget_remaining numeric,
    -- Wider than integer: counters pass 2^31. NULL when the source is missing; zero is no traffic.
    sample_count           bigint,
    success_count          bigint,
    violation_count        bigint,
    breach_detected        boolean NOT NULL DEFAULT false,
    breach_severity        text CHECK (breach_severity IN ('warning', 'critical')),
    alert_fired            boolean NOT NULL DEFAULT false,
    run_id                 text,
    CHECK (NOT (actual_percentage >= 100 AND violation_count > 0))
);
CREATE INDEX slo_metrics_latest ON slo_metrics (service_name, metric_name, time_window_seconds, measured_at DESC);

COMMENT ON TABLE slo_metrics IS 'What was reported of each objective and when; derived from slo_window_counts, which is the truth.';
COMMENT ON COLUMN slo_metrics.actual_percentage IS 'Unrounded; round down for display. NULL: no traffic or source missing.';
COMMENT ON COLUMN slo_metrics.error_budget_remaining IS
    'Percent of the period''s budget, negative when overspent, not clamped. NULL: unknown, or a target of 100 %.';
COMMENT ON COLUMN slo_metrics.sample_count IS 'NULL: source missing, so unknown. 0: no traffic, the budget is unchanged.';

-- GDPR -------------------------------------------------------------------------------------------

CREATE TABLE gdpr_requests (
    id                      bigserial PRIMARY KEY,
    request_id              text UNIQUE NOT NULL,
    creator_id              uuid NOT NULL,
    request_type            text NOT NULL CHECK (request_type IN ('erasure', 'export')),
    status                  text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    requestor_email         text NOT NULL,
    verification_token      text,
    verification_expires_at timestamptz,
    verified_at             timestamptz,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    outcome                 text CHECK (outcome IN ('fulfilled', 'cancelled', 'expired', 'error')),
    progress                text,
    completed_at            timestamptz
);
CREATE INDEX gdpr_requests_open ON gdpr_requests (status, request_type, created_at) WHERE status IN ('pending', 'processing');
CREATE INDEX gdpr_requests_creator ON gdpr_requests (creator_id);
CREATE TRIGGER gdpr_requests_touch BEFORE UPDATE ON gdpr_requests FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

COMMENT ON TABLE gdpr_requests IS 'Requests of data subjects for erasure or export. Holds personal data: only the API and the workers read it whole.';
COMMENT ON COLUMN gdpr_requests.verification_token IS 'SHA-256 of the mailed token, hex; the token itself is stored nowhere. NULL once used.';
COMMENT ON COLUMN gdpr_requests.outcome IS
    'How it ended. A request that was cancelled or expired has status failed and raises no failure alert; error does.';
COMMENT ON COLUMN gdpr_requests.progress IS 'The step of the protocol it is at: the published status has fewer values than the protocol has steps.';

CREATE TABLE erasure_tombstones (
    stanza           text NOT NULL,
    subject_type     text NOT NULL,
    subject_key      text NOT NULL,
    subject_key_type text NOT NULL,
    erased_at        timestamptz NOT NULL,
    completed_at     timestamptz,
    gdpr_request_id  text NOT NULL,
    copied_at        timestamptz,
    expires_at       timestamptz,
    PRIMARY KEY (stanza, subject_type, subject_key)
);

COMMENT ON TABLE erasure_tombstones IS
    'Subjects that must stay erased whatever backup is restored. Written, and copied to the ledger bucket, before '
    'anything is destroyed: a crash later can only repeat the erasure.';
COMMENT ON COLUMN erasure_tombstones.subject_type IS 'The data map''s name of the subject, for example creator.';
COMMENT ON COLUMN erasure_tombstones.subject_key IS 'The key as text; subject_key_type is its PostgreSQL type.';
COMMENT ON COLUMN erasure_tombstones.erased_at IS
    'The cutoff, decided before anything is destroyed. A replay spares rows newer than it: a person may come back.';
COMMENT ON COLUMN erasure_tombstones.copied_at IS 'When the copy under object lock was written; nothing is destroyed before.';
COMMENT ON COLUMN erasure_tombstones.expires_at IS 'When no backup can bring the subject back any more and the tombstone itself is to go.';

-- A subject that was erased from several stanzas has one row, as published: creator_id is unique.
CREATE VIEW data_erasure_tombstones AS
SELECT DISTINCT ON (creator_id) creator_id, erased_at, gdpr_request_id, completed_at
FROM (
    SELECT CASE WHEN subject_key_type = 'uuid' THEN subject_key::uuid END AS creator_id,
           erased_at, gdpr_request_id, completed_at
    FROM erasure_tombstones
) AS of_creators
WHERE creator_id IS NOT NULL
ORDER BY creator_id, erased_at DESC;

COMMENT ON VIEW data_erasure_tombstones IS 'Published shape of erasure_tombstones, for subjects whose key is a UUID.';

CREATE TABLE gdpr_lineage (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id   text NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    step         text NOT NULL,
    store        text,
    object       text,
    count_before bigint,
    count_after  bigint,
    affected     bigint,
    details      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX gdpr_lineage_request ON gdpr_lineage (request_id, id);
CREATE INDEX gdpr_lineage_step ON gdpr_lineage (step);
CREATE TRIGGER gdpr_lineage_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gdpr_lineage
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE gdpr_lineage ENABLE ALWAYS TRIGGER gdpr_lineage_append_only;

COMMENT ON TABLE gdpr_lineage IS
    'What each request touched: stores, tables, counts before and after, objects, keys, certificate; and each change '
    'of its status. Append-only, and without personal data, so that it can outlive the request.';
COMMENT ON COLUMN gdpr_lineage.step IS 'status:<new status> for a transition (what gdpr_requests_total counts), else the step of the protocol.';
COMMENT ON COLUMN gdpr_lineage.store IS 'postgresql, s3, redis, backups.';

-- Delivery ---------------------------------------------------------------------------------------

CREATE TABLE alert_deliveries (
    id          bigserial PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status      text NOT NULL CHECK (status IN ('firing', 'resolved')),
    alertname   text NOT NULL,
    fingerprint text NOT NULL,
    severity    text,
    service     text,
    slo         text,
    receiver    text,
    group_key   text,
    starts_at   timestamptz,
    ends_at     timestamptz,
    labels      jsonb NOT NULL DEFAULT '{}',
    annotations jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX alert_deliveries_latest ON alert_deliveries (alertname, received_at DESC);
CREATE INDEX alert_deliveries_received ON alert_deliveries (received_at);

COMMENT ON TABLE alert_deliveries IS
    'Every notification that Alertmanager delivered to the agent''s receiver, repeats included: proof that the pipe '
    'works from rule to receiver (the Watchdog comes all the time).';
COMMENT ON COLUMN alert_deliveries.fingerprint IS 'Alertmanager''s identity of the label set: the same for firing, repeats and resolved.';

CREATE TABLE mail_outbox (
    id              bigserial PRIMARY KEY,
    dedup_key       text UNIQUE NOT NULL,
    recipient       text,
    subject         text,
    body            text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    attempts        integer NOT NULL DEFAULT 0,
    last_error      text,
    sent_at         timestamptz,
    given_up_at     timestamptz,
    CHECK (sent_at IS NOT NULL OR given_up_at IS NOT NULL
           OR (recipient IS NOT NULL AND subject IS NOT NULL AND body IS NOT NULL))
);
CREATE INDEX mail_outbox_due ON mail_outbox (next_attempt_at) WHERE sent_at IS NULL AND given_up_at IS NULL;

COMMENT ON TABLE mail_outbox IS
    'Mail written in the transaction that decided on it, sent by the agent: neither lost nor sent for something that rolled back.';
COMMENT ON COLUMN mail_outbox.dedup_key IS 'One mail for one occasion: a retried writer inserts with ON CONFLICT DO NOTHING.';
COMMENT ON COLUMN mail_outbox.recipient IS 'Personal, like subject and body: all three are cleared when the mail is sent or given up.';

-- Grants: each role what its work needs, by name -------------------------------------------------

GRANT SELECT, INSERT, UPDATE ON dr_exercises, slo_window_counts, slo_metrics TO ops_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON slo_exclusions, gdpr_requests, erasure_tombstones TO ops_worker;
GRANT SELECT ON data_erasure_tombstones TO ops_worker;
GRANT SELECT, INSERT ON gdpr_lineage TO ops_worker;
GRANT SELECT, DELETE ON alert_deliveries TO ops_worker;
GRANT SELECT (id, dedup_key, created_at, next_attempt_at, attempts, last_error, sent_at, given_up_at), DELETE
    ON mail_outbox TO ops_worker;
GRANT INSERT ON mail_outbox TO ops_worker, ops_api;

GRANT SELECT ON dr_exercises, slo_window_counts, slo_exclusions, slo_metrics, gdpr_lineage TO ops_agent;
-- Metrics of requests, without the person.
GRANT SELECT (id, request_id, request_type, status, outcome, progress, verified_at, created_at, updated_at, completed_at)
    ON gdpr_requests TO ops_agent;
GRANT SELECT, INSERT ON alert_deliveries TO ops_agent;
-- The agent's own mails (alerts) go the same way as the API's.
GRANT SELECT, INSERT, UPDATE ON mail_outbox TO ops_agent;

GRANT SELECT, INSERT ON gdpr_requests TO ops_api;
GRANT UPDATE (status, outcome, progress, verification_token, verification_expires_at, verified_at, completed_at)
    ON gdpr_requests TO ops_api;
GRANT SELECT, INSERT ON gdpr_lineage TO ops_api;
-- ON CONFLICT needs to read its key.
GRANT SELECT (dedup_key) ON mail_outbox TO ops_api;

GRANT USAGE ON SEQUENCE dr_exercises_id_seq, slo_metrics_id_seq, slo_exclusions_id_seq, gdpr_requests_id_seq,
    mail_outbox_id_seq TO ops_worker;
GRANT USAGE ON SEQUENCE alert_deliveries_id_seq, mail_outbox_id_seq TO ops_agent;
GRANT USAGE ON SEQUENCE gdpr_requests_id_seq, mail_outbox_id_seq TO ops_api;
