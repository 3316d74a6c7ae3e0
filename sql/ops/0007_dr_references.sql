-- depends: 0006_dr
-- What the sources of backups looked like, signed: restored copies are compared with it.

CREATE TABLE dr_catalogues (
    digest   text PRIMARY KEY,
    objects  jsonb NOT NULL CHECK (jsonb_typeof(objects) = 'object')
);
COMMENT ON TABLE dr_catalogues IS
    'Object -> MD5 of its definition, once for each state of a catalogue; digest is SHA-256 over the whole.';

CREATE TABLE dr_references (
    stanza    text NOT NULL,
    taken_at  timestamptz NOT NULL,
    marker    timestamptz NOT NULL,
    document  text NOT NULL,
    key_id    text NOT NULL,
    signature text NOT NULL,
    PRIMARY KEY (stanza, taken_at),
    CHECK (marker <= taken_at)
);
CREATE INDEX dr_references_by_marker ON dr_references (stanza, marker);
COMMENT ON TABLE dr_references IS
    'What each stanza''s server held at a moment: catalogue, roles, extensions, rows of every table, fingerprints of '
    'append-only rows older than the marker. Counts and hashes only.';
COMMENT ON COLUMN dr_references.document IS 'The exact text that was signed, canonical JSON.';
COMMENT ON COLUMN dr_references.signature IS 'Ed25519 over the UTF-8 bytes of document, base64.';

CREATE TRIGGER dr_references_unchanged BEFORE UPDATE OR TRUNCATE ON dr_references
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE dr_references ENABLE ALWAYS TRIGGER dr_references_unchanged;

GRANT SELECT, INSERT, DELETE ON dr_references, dr_catalogues TO ops_worker;
