-- depends: 0034_audit_rows_back
-- The verifications of the ledger by the job audit_verification: each goes on from the newest seal of the
-- one before. Whoever may write here can make a later one begin too late; one that is in full begins at
-- the first seal, and audit verify on the command line believes none of this.

CREATE TABLE audit_verifications (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at   timestamptz NOT NULL,
    completed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    since        bigint NOT NULL CHECK (since >= 0),
    findings     bigint NOT NULL CHECK (findings >= 0),
    seal         bigint,
    seal_hash    text,
    epoch        integer,
    to_xid       xid8,
    events       bigint NOT NULL CHECK (events >= 0),
    run_id       text
);

COMMENT ON TABLE audit_verifications IS 'The verifications of the ledger by the job audit_verification. Append-only.';
COMMENT ON COLUMN audit_verifications.since IS 'The seal from which on events were compared; 0: all were.';
COMMENT ON COLUMN audit_verifications.seal IS
    'The newest seal that was verified, with its hash and its end; NULL where there was none or something was found.';
COMMENT ON COLUMN audit_verifications.events IS 'Events under all seals up to it.';

CREATE TRIGGER audit_verifications_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_verifications
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_verifications ENABLE ALWAYS TRIGGER audit_verifications_append_only;

GRANT SELECT ON audit_verifications TO ops_worker, ops_agent;
GRANT INSERT (started_at, since, findings, seal, seal_hash, epoch, to_xid, events, run_id)
    ON audit_verifications TO ops_worker;
