-- depends: 0038_job_outcomes
-- The duties that people do, as they said so. Each is in the audit ledger, too, in the same transaction.
CREATE TABLE duty_acknowledgements (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    done_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_by      text NOT NULL CHECK (length(done_by) BETWEEN 1 AND 200),
    note         text NOT NULL CHECK (length(note) BETWEEN 10 AND 1000),
    operation_id text NOT NULL UNIQUE
);
COMMENT ON TABLE duty_acknowledgements IS
    'Who did a duty of the calendar that no schedule does, when, and what they say of it. Append-only.';
COMMENT ON COLUMN duty_acknowledgements.operation_id IS 'Of the event in audit_events.';
CREATE INDEX duty_acknowledgements_newest ON duty_acknowledgements (name, done_at DESC, id DESC);
CREATE TRIGGER duty_acknowledgements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON duty_acknowledgements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE duty_acknowledgements ENABLE ALWAYS TRIGGER duty_acknowledgements_append_only;

-- A duty that was never done is due a period after this.
CREATE TABLE duty_calendar (
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE duty_calendar IS 'One row: when the calendar of duties began here. Append-only.';
INSERT INTO duty_calendar DEFAULT VALUES;
CREATE TRIGGER duty_calendar_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON duty_calendar
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE duty_calendar ENABLE ALWAYS TRIGGER duty_calendar_append_only;

GRANT SELECT ON duty_acknowledgements, duty_calendar TO ops_worker, ops_agent;
GRANT INSERT (name, done_by, note, operation_id) ON duty_acknowledgements TO ops_worker;
