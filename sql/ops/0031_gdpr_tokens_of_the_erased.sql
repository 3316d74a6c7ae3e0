-- depends: 0026_gdpr_kinds_of_subject
-- Who was erased on the command line has no request that says so, only a tombstone.
GRANT SELECT (subject_key, requestable, completed_at) ON erasure_tombstones TO ops_api;
