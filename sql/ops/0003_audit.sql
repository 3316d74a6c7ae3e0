-- The audit ledger: events, the seals over them, the salts of their commitments.
-- What a seal is and what it proves: docs/audit.md.

CREATE TABLE audit_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     uuid NOT NULL UNIQUE,
    epoch        integer NOT NULL DEFAULT 1,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurred_at  timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (isfinite(occurred_at)),
    actor        text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    action       text NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
    phase        text NOT NULL CHECK (phase IN ('intent', 'outcome', 'event')),
    operation_id text NOT NULL CHECK (length(operation_id) BETWEEN 1 AND 200),
    object       text NOT NULL CHECK (length(object) <= 1000),
    outcome      text CHECK (outcome IN ('success', 'failed')),
    details      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    commitments  jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(commitments) = 'object'),
    CHECK (CASE phase WHEN 'intent' THEN outcome IS NULL WHEN 'outcome' THEN outcome IS NOT NULL ELSE true END)
);

-- Sealing and verifying stream in this order, without a sort.
CREATE INDEX audit_events_seal_order ON audit_events (epoch, xid, id);
CREATE INDEX audit_events_operation ON audit_events (operation_id);
CREATE INDEX audit_events_object ON audit_events (object, id);

COMMENT ON TABLE audit_events IS
    'What was done, by whom, with what outcome. Append-only by privilege and by trigger; sealed by audit_seals. '
    'Holds no personal data: personal values appear as salted commitments only.';
COMMENT ON COLUMN audit_events.epoch IS
    'Counts restores of this database: transaction ids may run backwards over a restore. The default is '
    'raised by opening an epoch, under a lock that no writer can straddle.';
COMMENT ON COLUMN audit_events.xid IS
    'Top-level transaction that inserted the row. Seals take whole ranges of it, because ids and times do '
    'not become visible in order but a range below the oldest running transaction is complete for ever.';
COMMENT ON COLUMN audit_events.phase IS
    'intent: committed before something happens outside this database; outcome: what came of it; event: one '
    'that happened in the same transaction. An intent without an outcome is an operation that died.';
COMMENT ON COLUMN audit_events.operation_id IS 'Ties intent and outcome together; for Dagster runs the run id.';
COMMENT ON COLUMN audit_events.commitments IS
    'Field -> hex HMAC-SHA256 over field, NUL, value, keyed with the event''s salt. Deleting the salt makes '
    'the commitment unlinkable to any value without touching this row.';

CREATE TABLE audit_salts (
    event_id uuid PRIMARY KEY,
    salt     bytea NOT NULL CHECK (octet_length(salt) = 32)
);

COMMENT ON TABLE audit_salts IS
    'One random key for the commitments of one event. Rows are deleted to forget a person; no foreign key, '
    'because the event stays.';

CREATE TABLE audit_seals (
    number        bigint PRIMARY KEY CHECK (number > 0),
    epoch         integer NOT NULL,
    opens         integer,
    void_from     bigint,
    from_xid      xid8 NOT NULL,
    to_xid        xid8 NOT NULL,
    row_count     bigint NOT NULL CHECK (row_count >= 0),
    first_id      bigint,
    last_id       bigint,
    merkle_root   text NOT NULL,
    previous_hash text NOT NULL,
    sealed_at     timestamptz NOT NULL,
    key_id        text NOT NULL,
    document      text NOT NULL,
    signature     text NOT NULL,
    UNIQUE (previous_hash)
);

-- Which seal covers an event.
CREATE INDEX audit_seals_range ON audit_seals (epoch, to_xid);
CREATE INDEX audit_seals_openings ON audit_seals (number) WHERE opens IS NOT NULL;

COMMENT ON TABLE audit_seals IS
    'Signed Merkle batches of audit_events, each chained to the one before. Append-only; a copy of each was '
    'put into the ledger bucket under object lock before it was inserted here.';
COMMENT ON COLUMN audit_seals.opens IS
    'The epoch that this seal opens (signed, after a restore); NULL for an ordinary batch.';
COMMENT ON COLUMN audit_seals.void_from IS
    'With opens: the seals from this number to the one before are about events that the restore lost.';
COMMENT ON COLUMN audit_seals.to_xid IS 'Exclusive: the seal covers from_xid <= xid < to_xid of its epoch.';
COMMENT ON COLUMN audit_seals.document IS
    'The exact text that was signed, canonical JSON. The other columns repeat it for queries; '
    'ops-platform audit verify compares them.';
COMMENT ON COLUMN audit_seals.signature IS 'Ed25519 over the UTF-8 bytes of document, base64.';

-- The bytes that are hashed for each row, spelt in SQL, so that anybody can recompute a seal with
-- psql alone (docs/audit.md). ops_platform.audit.encoding spells the same in Python; a test compares.
CREATE FUNCTION audit_netstring(value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog
AS $$
    SELECT CASE
        WHEN value IS NULL THEN convert_to('-,', 'UTF8')
        ELSE convert_to(octet_length(convert_to(value, 'UTF8')) || ':' || value || ',', 'UTF8')
    END
$$;

CREATE VIEW audit_leaves WITH (security_invoker = true) AS
SELECT id, epoch, xid, encode(sha256('\x00'::bytea
    || audit_netstring('audit_event/1')
    || audit_netstring(id::text)
    || audit_netstring(event_id::text)
    || audit_netstring(epoch::text)
    || audit_netstring(xid::text)
    || audit_netstring((extract(epoch FROM occurred_at) * 1000000)::bigint::text)
    || audit_netstring(actor)
    || audit_netstring(action)
    || audit_netstring(phase)
    || audit_netstring(operation_id)
    || audit_netstring(object)
    || audit_netstring(outcome)
    || audit_netstring(details::text)
    || audit_netstring(commitments::text)), 'hex') AS leaf_hash
FROM audit_events;

COMMENT ON VIEW audit_leaves IS 'Merkle leaf (RFC 6962: SHA-256 over a zero byte and the row) of every event.';

-- ENABLE ALWAYS: holds with session_replication_role = replica too.
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_append_only;
CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_seals ENABLE ALWAYS TRIGGER audit_seals_append_only;

-- id, epoch, xid and occurred_at are not granted: no writer can date or place an event.
GRANT INSERT (event_id, actor, action, phase, operation_id, object, outcome, details, commitments)
    ON audit_events TO ops_worker, ops_agent, ops_api;
GRANT INSERT ON audit_salts TO ops_worker, ops_agent, ops_api;
GRANT SELECT ON audit_events, audit_seals, audit_leaves TO ops_worker, ops_agent;
GRANT EXECUTE ON FUNCTION audit_netstring(text) TO ops_worker, ops_agent;
GRANT SELECT, DELETE ON audit_salts TO ops_worker;
GRANT INSERT ON audit_seals TO ops_agent;
