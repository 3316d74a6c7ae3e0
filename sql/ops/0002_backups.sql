-- depends: 0001_base
-- What the platform did about backups: a row per run, and per hour of WAL archive. A row is opened
-- by INSERT and finished by record_backup_completion(), which is the only way.

CREATE TABLE backup_reports (
    id                 BIGSERIAL PRIMARY KEY,
    backup_id          TEXT NOT NULL UNIQUE,
    kind               TEXT NOT NULL CHECK (kind IN ('full', 'differential', 'incremental', 'wal_archive')),
    started_at         TIMESTAMPTZ NOT NULL,
    completed_at       TIMESTAMPTZ,
    -- The published type is INTEGER, which ends at 24.8 days.
    duration_ms        BIGINT CHECK (duration_ms >= 0),
    size_bytes         BIGINT CHECK (size_bytes >= 0),
    status             TEXT NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'failed')),

    stanza             TEXT NOT NULL,
    requested_kind     TEXT NOT NULL CHECK (requested_kind IN ('full', 'differential', 'incremental', 'wal_archive')),
    run_id             TEXT NOT NULL,
    root_run_id        TEXT NOT NULL,
    launched_by        TEXT NOT NULL CHECK (launched_by IN ('dagster', 'cli', 'agent')),
    adopted            BOOLEAN NOT NULL DEFAULT false,
    worker_host        TEXT,
    worker_pid         INTEGER,
    opened_at          TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    recorded_at        TIMESTAMPTZ,

    label              TEXT,
    prior_label        TEXT,
    timeline           INTEGER,
    lsn_start          PG_LSN,
    lsn_stop           PG_LSN,
    wal_start          TEXT,
    wal_stop           TEXT,
    -- Of the cluster when the set was taken (size_bytes too); what this set alone added (delta).
    database_size_bytes BIGINT,
    delta_bytes        BIGINT,
    repo_size_bytes    BIGINT,
    repo_delta_bytes   BIGINT,
    repository_uri     TEXT,
    throughput_bytes_per_second DOUBLE PRECISION,

    -- Only of wal_archive rows: what arrived in the hour, and how far the archive lagged at its end.
    wal_segments       INTEGER,
    wal_lag_seconds    DOUBLE PRECISION,

    error_reason       TEXT,
    reconciled         BOOLEAN NOT NULL DEFAULT false,
    details            JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT finished_rows_say_when CHECK ((status = 'running') = (completed_at IS NULL)),
    CONSTRAINT failed_rows_say_why CHECK ((status = 'failed') = (error_reason IS NOT NULL)),
    CONSTRAINT completed_sets_are_named CHECK (
        status <> 'completed' OR kind = 'wal_archive'
        OR (label IS NOT NULL AND size_bytes IS NOT NULL AND lsn_stop IS NOT NULL AND wal_stop IS NOT NULL)
    ),
    CONSTRAINT time_runs_forwards CHECK (completed_at >= started_at)
);

CREATE INDEX backup_reports_newest ON backup_reports (stanza, kind, started_at DESC);
CREATE INDEX backup_reports_running ON backup_reports (stanza) WHERE status = 'running';
CREATE INDEX backup_reports_root_run ON backup_reports (root_run_id);
CREATE INDEX backup_reports_label ON backup_reports (label) WHERE label IS NOT NULL;

COMMENT ON TABLE backup_reports IS
    'One row per backup run (backup_id = <stanza>:<run_id>) and per hour of WAL archive (<stanza>:wal:<hour>). '
    'A run that found the set of an earlier run of its root has a row of its own with adopted = true and the set''s '
    'own times. Finished by record_backup_completion() only.';
COMMENT ON COLUMN backup_reports.kind IS
    'What was made; what was asked for is requested_kind. pgBackRest makes a full where a diff or incr has nothing to build on.';
COMMENT ON COLUMN backup_reports.duration_ms IS 'completed_at - started_at in milliseconds.';
COMMENT ON COLUMN backup_reports.reconciled IS
    'The run died without a word and somebody else finished its row; should it turn out to be alive, its own word counts.';

CREATE FUNCTION guard_backup_report() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
DECLARE
    stack text;
BEGIN
    -- The call stack, not a setting: a setting could be made by anybody.
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF TG_OP = 'UPDATE' AND stack LIKE '%function%record_backup_completion(%' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of backup_reports is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'call record_backup_completion()';
END
$$;

CREATE TRIGGER guard_backup_report BEFORE UPDATE OR DELETE ON backup_reports
    FOR EACH ROW EXECUTE FUNCTION guard_backup_report();
CREATE TRIGGER guard_backup_reports BEFORE TRUNCATE ON backup_reports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Also under session_replication_role = replica.
ALTER TABLE backup_reports ENABLE ALWAYS TRIGGER guard_backup_report;
ALTER TABLE backup_reports ENABLE ALWAYS TRIGGER guard_backup_reports;

CREATE FUNCTION open_backup_report() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    IF NEW.status <> 'running' THEN
        RAISE EXCEPTION 'a report is opened as running, not as %', NEW.status
            USING ERRCODE = 'check_violation', HINT = 'call record_backup_completion() to finish it';
    END IF;
    NEW.opened_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TRIGGER open_backup_report BEFORE INSERT ON backup_reports
    FOR EACH ROW EXECUTE FUNCTION open_backup_report();

CREATE FUNCTION record_backup_completion(
    p_backup_id        TEXT,
    p_status           TEXT,
    p_completed_at     TIMESTAMPTZ,
    p_kind             TEXT DEFAULT NULL,
    p_started_at       TIMESTAMPTZ DEFAULT NULL,
    p_size_bytes       BIGINT DEFAULT NULL,
    p_label            TEXT DEFAULT NULL,
    p_prior_label      TEXT DEFAULT NULL,
    p_timeline         INTEGER DEFAULT NULL,
    p_lsn_start        PG_LSN DEFAULT NULL,
    p_lsn_stop         PG_LSN DEFAULT NULL,
    p_wal_start        TEXT DEFAULT NULL,
    p_wal_stop         TEXT DEFAULT NULL,
    p_delta_bytes      BIGINT DEFAULT NULL,
    p_repo_size_bytes  BIGINT DEFAULT NULL,
    p_repo_delta_bytes BIGINT DEFAULT NULL,
    p_repository_uri   TEXT DEFAULT NULL,
    p_throughput       DOUBLE PRECISION DEFAULT NULL,
    p_adopted          BOOLEAN DEFAULT NULL,
    p_wal_segments     INTEGER DEFAULT NULL,
    p_wal_lag_seconds  DOUBLE PRECISION DEFAULT NULL,
    p_error_reason     TEXT DEFAULT NULL,
    p_reconciled       BOOLEAN DEFAULT false,
    p_details          JSONB DEFAULT NULL
) RETURNS backup_reports
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    report backup_reports;
BEGIN
    IF p_status IS NULL OR p_status NOT IN ('completed', 'failed') THEN
        RAISE EXCEPTION 'a report is finished as completed or failed, not as %', coalesce(p_status, 'nothing')
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO report FROM backup_reports WHERE backup_id = p_backup_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no report %', p_backup_id
            USING ERRCODE = 'no_data_found', HINT = 'insert it as running first';
    END IF;
    -- Told again what is known already: nothing to do. A run that could not be sure whether its
    -- commit arrived asks once more.
    IF report.status = p_status AND (p_status = 'failed' OR report.label IS NOT DISTINCT FROM p_label) THEN
        RETURN report;
    END IF;
    -- A failure after the completion (of a step behind it) does not unmake the set.
    IF report.status = 'completed' AND p_status = 'failed' THEN
        RETURN report;
    END IF;
    IF report.status <> 'running' AND NOT report.reconciled THEN
        RAISE EXCEPTION 'report % is already %', p_backup_id, report.status
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'a finished report does not change';
    END IF;
    UPDATE backup_reports SET
        status = p_status,
        kind = coalesce(p_kind, kind),
        started_at = coalesce(p_started_at, started_at),
        completed_at = p_completed_at,
        duration_ms = greatest(0, round(extract(epoch FROM p_completed_at - coalesce(p_started_at, started_at)) * 1000)),
        size_bytes = p_size_bytes,
        label = p_label,
        prior_label = p_prior_label,
        timeline = p_timeline,
        lsn_start = p_lsn_start,
        lsn_stop = p_lsn_stop,
        wal_start = p_wal_start,
        wal_stop = p_wal_stop,
        database_size_bytes = p_size_bytes,
        delta_bytes = p_delta_bytes,
        repo_size_bytes = p_repo_size_bytes,
        repo_delta_bytes = p_repo_delta_bytes,
        repository_uri = p_repository_uri,
        throughput_bytes_per_second = p_throughput,
        adopted = coalesce(p_adopted, adopted),
        wal_segments = p_wal_segments,
        wal_lag_seconds = p_wal_lag_seconds,
        error_reason = p_error_reason,
        reconciled = p_reconciled,
        details = details || coalesce(p_details, '{}'),
        recorded_at = clock_timestamp()
    WHERE id = report.id
    RETURNING * INTO report;
    RETURN report;
END
$$;

COMMENT ON FUNCTION record_backup_completion IS
    'Finishes a report as completed or failed; the only way. Idempotent: the same outcome told twice changes nothing. '
    'A finished report does not change, except that a run which was given up for dead may still complete its own.';

GRANT SELECT, INSERT ON backup_reports TO ops_worker, ops_agent;
GRANT SELECT ON backup_reports TO ops_api;
GRANT USAGE ON SEQUENCE backup_reports_id_seq TO ops_worker, ops_agent;
GRANT EXECUTE ON FUNCTION record_backup_completion TO ops_worker, ops_agent;

-- Where in the WAL each heartbeat was committed: with the archive's contiguous end it says how much
-- would be lost now. The position is read after the commit, so it never precedes the heartbeat.
CREATE TABLE heartbeat_positions (
    stanza   TEXT NOT NULL,
    beat_at  TIMESTAMPTZ NOT NULL,
    lsn      PG_LSN NOT NULL,
    timeline INTEGER NOT NULL CHECK (timeline > 0),
    PRIMARY KEY (stanza, beat_at)
);
CREATE INDEX heartbeat_positions_by_age ON heartbeat_positions (beat_at);
COMMENT ON TABLE heartbeat_positions IS
    'The heartbeats of every stanza (rows of ops_platform.heartbeats in its own database) and an LSN at or after their commit. '
    'Written and pruned by the agent.';

GRANT SELECT, INSERT, DELETE ON heartbeat_positions TO ops_agent;
GRANT SELECT ON heartbeat_positions TO ops_worker, ops_api;
