-- The ground all later migrations of the ops database stand on: who may enter the schema, and the
-- trigger functions that tables share. The roles are made by sql/roles/ops.sql, by a superuser.

DO $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(wanted, ', ' ORDER BY wanted) INTO missing
    FROM unnest(ARRAY['ops_owner', 'ops_worker', 'ops_agent', 'ops_api']) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'role % does not exist', missing
            USING HINT = 'run sql/roles/ops.sql as a superuser first';
    END IF;
END
$$;

-- Least privilege: nothing is anybody's until a migration grants it by name.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ops_worker, ops_agent, ops_api;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the table is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'record a correction as a new row';
END
$$;

COMMENT ON FUNCTION refuse_change() IS
    'Trigger of append-only tables, for UPDATE, DELETE and TRUNCATE. Holds for the owner too; a superuser '
    'can disable triggers, which is what the signed seals in the ledger bucket are for.';

CREATE FUNCTION touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION touch_updated_at() IS 'BEFORE UPDATE trigger: keeps updated_at true whoever writes.';
