-- depends: 0026_gdpr_kinds_of_subject
-- A person says that they have their copy: an erasure waits for it no longer.

ALTER TABLE gdpr_exports ADD COLUMN received_at timestamptz;
COMMENT ON COLUMN gdpr_exports.received_at IS
    'When its subject said that they have it; from then on no erasure waits for its download. NULL: they have not.';
GRANT UPDATE (received_at) ON gdpr_exports TO ops_api;
