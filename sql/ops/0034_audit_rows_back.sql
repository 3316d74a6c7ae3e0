-- depends: 0003_audit
-- Writers of the ledger ask for each row again after they wrote it: a trigger or a rule that drops or alters
-- rows leaves no error. Not every writer may read the ledger, so this only says whether a row of the
-- caller's own transaction is there as it was written.
CREATE FUNCTION audit_stored(
    p_event_id uuid, p_actor text, p_action text, p_phase text, p_operation_id text, p_object text, p_outcome text,
    p_details jsonb, p_commitments jsonb
) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) = 1
    FROM ONLY public.audit_events
    WHERE event_id = p_event_id
      AND (actor, action, phase, operation_id, object, details, commitments)
          = (p_actor, p_action, p_phase, p_operation_id, p_object, p_details, p_commitments)
      AND outcome IS NOT DISTINCT FROM p_outcome
      AND xid = pg_current_xact_id()
      AND occurred_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
$$;

COMMENT ON FUNCTION audit_stored IS
    'Whether the event that the caller''s transaction has just written is stored as it was written.';

GRANT EXECUTE ON FUNCTION audit_stored TO ops_worker, ops_agent, ops_api;
