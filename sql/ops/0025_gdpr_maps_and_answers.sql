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

GRANT SELECT, INSERT ON gdpr_maps, gdpr_processor_answers TO ops_worker;
