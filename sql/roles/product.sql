-- The platform's roles in a product's cluster. Run by a superuser, in database "postgres" and
-- then in the product database; safe to repeat. No passwords here: whoever runs this sets them.
DO $$
DECLARE role_name TEXT;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['ops_owner', 'ops_worker', 'ops_agent', 'ops_api', 'ops_backup', 'ops_eraser'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
    END LOOP;
    -- The platform's footprint lives in a schema of its own, "ops_platform", owned by ops_owner.
    IF current_database() <> 'postgres' THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO ops_owner, ops_worker, ops_agent, ops_api, ops_eraser', current_database());
        EXECUTE 'CREATE SCHEMA IF NOT EXISTS ops_platform AUTHORIZATION ops_owner';
    END IF;
END $$;
-- What pgBackRest needs, and nothing else (it reads files as their owner, not through SQL).
GRANT pg_read_all_settings TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_create_restore_point(TEXT) TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_backup_start(TEXT, BOOLEAN) TO ops_backup;
GRANT EXECUTE ON FUNCTION pg_backup_stop(BOOLEAN) TO ops_backup;
-- Preflight, checks and metrics look at the server's state.
GRANT pg_monitor TO ops_worker, ops_agent;
-- Workers fingerprint every table, so that a restored copy can be compared with what was backed up.
GRANT pg_read_all_data TO ops_worker;
-- Erasure changes what the data map names, in any table, and must see rows that policies hide from others.
GRANT pg_read_all_data, pg_write_all_data TO ops_eraser;
ALTER ROLE ops_eraser BYPASSRLS;
