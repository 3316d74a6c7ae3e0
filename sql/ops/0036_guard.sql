-- depends: 0035_audit_verifications
-- The guard before Dagster writes who changed what into the ledger. Its role, ops_guard, is
-- made by sql/roles/ops.sql, which gives it this right, too, where it is run later than this.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_guard') THEN
        GRANT USAGE ON SCHEMA public TO ops_guard;
        GRANT INSERT (event_id, actor, action, phase, operation_id, object, outcome, details, commitments)
            ON audit_events TO ops_guard;
        GRANT EXECUTE ON FUNCTION audit_stored TO ops_guard;
    END IF;
END $$;
