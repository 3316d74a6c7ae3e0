-- depends: 0026_gdpr_kinds_of_subject
-- Who was erased on the command line has no request that says so, only a tombstone. The API, which may not read
-- tombstones, asks about the one key that a token names.

CREATE FUNCTION has_been_erased(subject uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM public.erasure_tombstones AS t
                   WHERE t.subject_key = subject::text AND t.requestable AND t.completed_at IS NOT NULL)
$$;
COMMENT ON FUNCTION has_been_erased IS
    'Whether an erasure of the subject with this key, of the kind that requests are about, has been completed.';
REVOKE ALL ON FUNCTION has_been_erased FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_been_erased TO ops_api, ops_worker;
