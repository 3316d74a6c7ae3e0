-- depends: 0012_gdpr_requests
-- What an erasure leaves behind and what it must remember while it works: tombstones with a salt for the
-- certificate's commitment, the sealed inventory, legal holds, certificates.

ALTER TABLE erasure_tombstones
    ADD COLUMN map_version text,
    ADD COLUMN salt        bytea CHECK (length(salt) = 32);

COMMENT ON COLUMN erasure_tombstones.map_version IS 'The data map that the erasure began with.';
COMMENT ON COLUMN erasure_tombstones.salt IS
    'Makes the certificate''s commitment to the subject. It goes with the tombstone: from then on nobody can tell '
    'whom a certificate is about.';
COMMENT ON COLUMN erasure_tombstones.copied_at IS
    'When the copy under object lock was acknowledged; nothing is destroyed before.';
COMMENT ON COLUMN erasure_tombstones.expires_at IS
    'When, as backups.yaml has it, the last backup expires that can bring the subject back.';

CREATE TABLE gdpr_inventories (
    request_id text PRIMARY KEY,
    sealed     bytea NOT NULL,
    key_id     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gdpr_inventories IS
    'While an erasure is at work: who the subject is and where objects and keys of theirs are, encrypted, so that a '
    'retry still knows after the rows are gone. Deleted at completion.';
COMMENT ON COLUMN gdpr_inventories.key_id IS 'Which key of OPS_GDPR_ENCRYPTION_KEY opens it.';

CREATE TABLE gdpr_certificates (
    request_id     text PRIMARY KEY,
    certificate_id text UNIQUE NOT NULL,
    document       text NOT NULL,
    signature      text NOT NULL,
    key_id         text NOT NULL,
    issued_at      timestamptz NOT NULL
);
CREATE TRIGGER gdpr_certificates_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gdpr_certificates
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE gdpr_certificates ENABLE ALWAYS TRIGGER gdpr_certificates_append_only;
COMMENT ON TABLE gdpr_certificates IS
    'One signed certificate for each erasure. Append-only, and without personal data, so that it can outlive the request.';
COMMENT ON COLUMN gdpr_certificates.document IS 'The exact text that was signed.';
COMMENT ON COLUMN gdpr_certificates.signature IS 'Ed25519 over the UTF-8 bytes of document, base64.';

CREATE TABLE gdpr_legal_holds (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stanza       text NOT NULL,
    subject_type text NOT NULL,
    subject_key  text NOT NULL,
    basis        text NOT NULL CHECK (basis ~ '\S'),
    placed_by    text NOT NULL,
    placed_at    timestamptz NOT NULL DEFAULT now(),
    released_by  text,
    released_at  timestamptz,
    CHECK ((released_by IS NULL) = (released_at IS NULL))
);
CREATE INDEX gdpr_legal_holds_active ON gdpr_legal_holds (stanza, subject_type, subject_key) WHERE released_at IS NULL;
COMMENT ON TABLE gdpr_legal_holds IS
    'Subjects whose data must be kept for now, as for a claim (Art. 17(3)(e) GDPR): no erasure begins while one is active.';

GRANT SELECT, INSERT, UPDATE, DELETE ON gdpr_inventories TO ops_worker;
GRANT SELECT, INSERT ON gdpr_certificates TO ops_worker;
GRANT SELECT, INSERT, UPDATE (released_by, released_at), DELETE ON gdpr_legal_holds TO ops_worker;
GRANT SELECT (request_id, certificate_id, key_id, issued_at) ON gdpr_certificates TO ops_agent;
