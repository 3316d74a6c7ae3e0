-- depends: 0012_gdpr_requests
-- What was exported, where it is until when, and each time that its subject was given a link to it.

CREATE TABLE gdpr_exports (
    request_id   text PRIMARY KEY,
    object_key   text UNIQUE NOT NULL,
    bytes        bigint NOT NULL CHECK (bytes > 0),
    sha256       text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    map_version  text NOT NULL,
    effects      jsonb NOT NULL DEFAULT '[]',
    completed_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > completed_at),
    deleted_at   timestamptz
);
-- What is to be deleted next.
CREATE INDEX gdpr_exports_kept ON gdpr_exports (expires_at) WHERE deleted_at IS NULL;

COMMENT ON TABLE gdpr_exports IS
    'The one export of each request. The row is written when the whole archive is stored, and stays when it is deleted.';
COMMENT ON COLUMN gdpr_exports.object_key IS 'In the exports bucket, below <request_id>/; random, so that attempts never meet.';
COMMENT ON COLUMN gdpr_exports.sha256 IS 'Of the archive as it was uploaded, hex.';
COMMENT ON COLUMN gdpr_exports.effects IS
    'Counts by store, place and role, no personal data: what a run answers that finds its export already made.';
COMMENT ON COLUMN gdpr_exports.deleted_at IS 'When every version of it was gone: after expires_at, or when its subject was erased.';

CREATE TABLE gdpr_downloads (
    id             bigserial PRIMARY KEY,
    request_id     text NOT NULL REFERENCES gdpr_exports (request_id),
    at             timestamptz NOT NULL,
    url_expires_at timestamptz NOT NULL,
    event_id       uuid NOT NULL
);
CREATE INDEX gdpr_downloads_request ON gdpr_downloads (request_id, id);
CREATE TRIGGER gdpr_downloads_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gdpr_downloads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE gdpr_downloads ENABLE ALWAYS TRIGGER gdpr_downloads_append_only;

COMMENT ON TABLE gdpr_downloads IS 'Links to exports that the API has given out. Append-only.';
COMMENT ON COLUMN gdpr_downloads.event_id IS 'The event in audit_events that says the same, under the seals.';

GRANT SELECT, INSERT, UPDATE (deleted_at) ON gdpr_exports TO ops_worker;
GRANT SELECT ON gdpr_downloads TO ops_worker;
GRANT SELECT ON gdpr_exports TO ops_api;
GRANT INSERT ON gdpr_downloads TO ops_api;
GRANT USAGE ON SEQUENCE gdpr_downloads_id_seq TO ops_api;
-- The agent deletes what has expired.
GRANT SELECT (request_id, object_key, completed_at, expires_at, deleted_at), UPDATE (deleted_at) ON gdpr_exports TO ops_agent;
