-- Roles of the ops cluster. Run by a superuser, in database "postgres" and then in the ops
-- database; safe to repeat. No passwords here: whoever runs this sets them.
DO $$
DECLARE role_name TEXT;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['ops_owner', 'ops_worker', 'ops_agent', 'ops_api', 'ops_backup', 'ops_eraser', 'ops_dagster', 'ops_analyst', 'ops_guard'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
    END LOOP;
END $$;
-- What pgBackRest needs, and nothing else (it reads files as their owner, not through SQL).
GRANT pg_read_all_settings TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_create_restore_point(TEXT) TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_backup_start(TEXT, BOOLEAN) TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_backup_stop(BOOLEAN) TO ops_backup;
-- Analysts read the views of the schema "analysis", in the ops database, and change nothing.
ALTER ROLE ops_analyst SET default_transaction_read_only = on;
ALTER ROLE ops_analyst SET statement_timeout = '5min';
DO $$
BEGIN
    IF to_regnamespace('analysis') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA analysis TO ops_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analysis TO ops_analyst;
    END IF;
END $$;
-- The guard before Dagster writes who changed what into the ledger.
DO $$
BEGIN
    IF to_regproc('public.audit_stored') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA public TO ops_guard;
        GRANT INSERT (event_id, actor, action, phase, operation_id, object, outcome, details, commitments)
            ON public.audit_events TO ops_guard;
        GRANT EXECUTE ON FUNCTION public.audit_stored TO ops_guard;
    END IF;
    -- It answers rollouts: what overrides the gate, and whether the schema is the installation's.
    IF to_regclass('public.gate_overrides') IS NOT NULL THEN
        GRANT SELECT ON public.gate_overrides, public._yoyo_migration TO ops_guard;
    END IF;
END $$;
-- Preflight, checks and metrics look at the server's state.
GRANT pg_monitor TO ops_worker, ops_agent;
