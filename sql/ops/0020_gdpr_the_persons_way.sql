-- depends: 0019_backup_stored_objects
-- Before an erasure deletes an export that a mail promised, the person is asked; their answer is kept.

ALTER TABLE gdpr_requests ADD COLUMN waits_until timestamptz;

COMMENT ON COLUMN gdpr_requests.waits_until IS
    'Of an erasure: it waits at most until then for the download of an export that was ready when it was confirmed. '
    'NULL: there was none, it had been downloaded, or the person chose not to wait.';
COMMENT ON COLUMN gdpr_requests.language IS
    'Of the mails about this request, the page that they link to, and the export''s index.';

GRANT UPDATE (waits_until) ON gdpr_requests TO ops_api;
-- Has the export been downloaded?
GRANT SELECT (request_id, at) ON gdpr_downloads TO ops_api;
