-- depends: 0025_gdpr_certificate_facts

-- An ops database that is restored from before has the column already: the ledger's tombstones need it.
-- Keys of different kinds of subject may be equal: requests of the API are about one kind, and no other's tombstone is theirs.
ALTER TABLE erasure_tombstones ADD COLUMN IF NOT EXISTS requestable boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN erasure_tombstones.requestable IS
    'Whether requests of the API are about this kind of subject: the first one of the data map. The same key of another kind is somebody else''s.';

CREATE OR REPLACE VIEW data_erasure_tombstones AS
SELECT DISTINCT ON (creator_id) creator_id, erased_at, gdpr_request_id, completed_at
FROM (
    SELECT CASE WHEN subject_key_type = 'uuid' THEN subject_key::uuid END AS creator_id,
           erased_at, gdpr_request_id, completed_at
    FROM erasure_tombstones
    WHERE requestable
) AS of_creators
WHERE creator_id IS NOT NULL
ORDER BY creator_id, erased_at DESC;
COMMENT ON VIEW data_erasure_tombstones IS
    'Published shape of erasure_tombstones, for subjects whom requests of the API are about and whose key is a UUID.';
