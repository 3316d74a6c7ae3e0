-- depends: 0027_gdpr_copies_received
-- A replay after a restore finds what the first erasure found, also where the account's row was gone by then.

CREATE TABLE gdpr_sealed_identities (
    request_id text PRIMARY KEY,
    sealed     bytea NOT NULL,
    stored_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gdpr_sealed_identities IS
    'Who the subject of a tombstone was, encrypted, for replays after a restore. Deleted with the tombstone.';

GRANT SELECT, INSERT, UPDATE, DELETE ON gdpr_sealed_identities TO ops_worker;
