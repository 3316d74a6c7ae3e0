-- depends: 0017_gdpr_export_of_the_erased
-- Look-ups that work on requests makes all the time, so that they do not grow with the requests of years.

-- Letters of a request, by the beginning of their keys: the unique index serves that in collation C only.
CREATE INDEX mail_outbox_occasion ON mail_outbox (dedup_key text_pattern_ops);
-- Whether a request has begun its erasure; whether the subject of a request is being erased.
CREATE INDEX erasure_tombstones_request ON erasure_tombstones (gdpr_request_id);
CREATE INDEX erasure_tombstones_subject ON erasure_tombstones (subject_key);

COMMENT ON TABLE mail_outbox IS
    'Mail written in the transaction that decided on it, sent by the agent: neither lost nor sent for something that rolled '
    'back. What was sent or given up is deleted by retention_cleanup after a month.';
