-- depends: 0024_gdpr_tokens_in_mails
-- A certificate says by which map, and who answered; both can be looked up for as long as it is kept.

CREATE TABLE gdpr_maps (
    sha256    text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    document  text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    CHECK (sha256 = encode(pg_catalog.sha256(convert_to(document, 'UTF8')), 'hex'))
);
CREATE INDEX gdpr_maps_beginning ON gdpr_maps (sha256 text_pattern_ops);
CREATE TRIGGER gdpr_maps_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gdpr_maps
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE gdpr_maps ENABLE ALWAYS TRIGGER gdpr_maps_append_only;
COMMENT ON TABLE gdpr_maps IS
    'Each data map by which anybody was erased or exported. Append-only: a certificate can be read against its map for ever.';
COMMENT ON COLUMN gdpr_maps.sha256 IS
    'SHA-256 of document, hex: map_sha256 of certificates. Its first 16 digits are map_version everywhere.';
COMMENT ON COLUMN gdpr_maps.document IS 'What the map''s file says, as JSON with sorted keys.';

CREATE TABLE gdpr_processor_answers (
    request_id  text NOT NULL,
    processor   text NOT NULL,
    answered_at timestamptz NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (request_id, processor)
);
CREATE TRIGGER gdpr_processor_answers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gdpr_processor_answers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE gdpr_processor_answers ENABLE ALWAYS TRIGGER gdpr_processor_answers_append_only;
COMMENT ON TABLE gdpr_processor_answers IS
    'A processor has answered that they have erased the subject of a request. Append-only.';

CREATE TABLE gdpr_trusted_times (
    request_id text PRIMARY KEY,
    token      bytea NOT NULL,
    trusted_at timestamptz NOT NULL,
    stored_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER gdpr_trusted_times_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gdpr_trusted_times
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE gdpr_trusted_times ENABLE ALWAYS TRIGGER gdpr_trusted_times_append_only;
COMMENT ON TABLE gdpr_trusted_times IS
    'When a certificate existed, by a time stamping authority (RFC 3161). Append-only; a certificate without a row has no trusted time yet.';
COMMENT ON COLUMN gdpr_trusted_times.token IS 'Over the SHA-256 of the certificate''s document, in DER.';
COMMENT ON COLUMN gdpr_trusted_times.trusted_at IS 'The time that the token says.';

GRANT SELECT, INSERT ON gdpr_maps, gdpr_processor_answers, gdpr_trusted_times TO ops_worker;
-- The API gives a certificate to its subject, with its trusted time.
GRANT SELECT (request_id, token) ON gdpr_trusted_times TO ops_api;
