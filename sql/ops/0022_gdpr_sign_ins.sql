-- depends: 0021_gdpr_certificates_for_people
-- Sign-in by a mailed link, to look at one's own requests.

CREATE TABLE gdpr_sign_ins (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    creator_id         uuid NOT NULL,
    link_hash          text UNIQUE NOT NULL CHECK (link_hash ~ '^[0-9a-f]{64}$'),
    link_expires_at    timestamptz NOT NULL,
    session_hash       text UNIQUE CHECK (session_hash ~ '^[0-9a-f]{64}$'),
    session_expires_at timestamptz,
    CHECK ((session_hash IS NULL) = (session_expires_at IS NULL))
);
-- What retention_cleanup deletes.
CREATE INDEX gdpr_sign_ins_link ON gdpr_sign_ins (link_expires_at);
-- Whose address was typed.
CREATE INDEX gdpr_requests_email ON gdpr_requests (lower(requestor_email)) WHERE requestor_email <> '';

COMMENT ON TABLE gdpr_sign_ins IS
    'A mailed sign-in link, and the session that it began. Deleted a day later, by retention_cleanup.';
COMMENT ON COLUMN gdpr_sign_ins.link_hash IS 'SHA-256 of the link''s token, hex; the token itself is stored nowhere.';
COMMENT ON COLUMN gdpr_sign_ins.session_hash IS 'SHA-256 of the session''s token, hex; NULL until the link is used, once.';

GRANT SELECT, INSERT, UPDATE (session_hash, session_expires_at) ON gdpr_sign_ins TO ops_api;
GRANT SELECT, DELETE ON gdpr_sign_ins TO ops_worker;
