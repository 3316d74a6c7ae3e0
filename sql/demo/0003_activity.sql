-- What happens around the content: usage, workflows, webhooks, the product's own audit log, money.

CREATE SEQUENCE usage_logs_id_seq START WITH 1000000000;
CREATE TABLE usage_logs (
    id bigint NOT NULL DEFAULT nextval('usage_logs_id_seq'),
    occurred_at timestamptz NOT NULL,
    creator_id uuid NOT NULL REFERENCES creators (id),
    session_id uuid,
    event text NOT NULL,
    ip inet,
    properties jsonb,
    PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
ALTER SEQUENCE usage_logs_id_seq OWNED BY usage_logs.id;
CREATE INDEX usage_logs_creator_id_idx ON usage_logs (creator_id, occurred_at);
COMMENT ON TABLE usage_logs IS
    'One row an action, a partition a month (UTC). session_id outlives its session, so it is no foreign key.';

-- The application may not create tables; it may ask for the months to come.
CREATE FUNCTION ensure_usage_log_partitions(first_month date, months integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    lower_bound timestamp := date_trunc('month', first_month::timestamp);
    partition_name text;
    created integer := 0;
BEGIN
    IF months NOT BETWEEN 1 AND 36 THEN
        RAISE EXCEPTION 'months must be from 1 to 36, not %', months;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('usage_logs partitions', 0));
    FOR i IN 1 .. months LOOP
        partition_name := 'usage_logs_' || to_char(lower_bound, 'YYYY_MM');
        IF to_regclass(format('public.%I', partition_name)) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE public.%I PARTITION OF public.usage_logs FOR VALUES FROM (%L) TO (%L)',
                partition_name,
                lower_bound AT TIME ZONE 'UTC', (lower_bound + interval '1 month') AT TIME ZONE 'UTC'
            );
            EXECUTE format(
                'COMMENT ON TABLE public.%I IS %L', partition_name, 'usage_logs of ' || to_char(lower_bound, 'YYYY-MM')
            );
            created := created + 1;
        END IF;
        lower_bound := lower_bound + interval '1 month';
    END LOOP;
    RETURN created;
END $$;
COMMENT ON FUNCTION ensure_usage_log_partitions IS 'Creates what is missing of the months from first_month on; how many it created.';
REVOKE ALL ON FUNCTION ensure_usage_log_partitions FROM PUBLIC;

CREATE TABLE workflows (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id uuid NOT NULL REFERENCES creators (id),
    name text NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'finished')),
    definition jsonb NOT NULL,
    watcher_emails text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workflows_owner_id_idx ON workflows (owner_id);
CREATE INDEX workflows_definition_idx ON workflows USING gin (definition jsonb_path_ops);
CREATE INDEX workflows_watcher_emails_idx ON workflows USING gin (watcher_emails);
COMMENT ON TABLE workflows IS 'Publishing workflows of a creator; others take part and watch.';
COMMENT ON COLUMN workflows.definition IS
    'Names people: {"trigger": text, "approvers": [{"id", "email"}], "steps": [text], "fallback": {"notify": email}}';

CREATE TABLE workflow_steps (
    workflow_id uuid NOT NULL REFERENCES workflows (id),
    position smallint NOT NULL,
    assignee_id uuid REFERENCES creators (id),
    action text NOT NULL,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'running', 'done', 'failed')),
    finished_at timestamptz,
    PRIMARY KEY (workflow_id, position)
);
CREATE INDEX workflow_steps_assignee_id_idx ON workflow_steps (assignee_id);
COMMENT ON TABLE workflow_steps IS 'Steps of a workflow; the assignee is often somebody else than the owner.';

CREATE TABLE webhooks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    creator_id uuid NOT NULL REFERENCES creators (id),
    url text NOT NULL,
    secret_hash bytea NOT NULL,
    events text[] NOT NULL,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhooks_creator_id_idx ON webhooks (creator_id);
COMMENT ON TABLE webhooks IS 'Addresses of creators'' own systems that want to hear of events.';

CREATE TABLE webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000000000) PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES webhooks (id),
    event text NOT NULL,
    payload jsonb NOT NULL,
    signature_valid boolean NOT NULL,
    response_code smallint,
    delivered_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_deliveries_webhook_id_idx ON webhook_deliveries (webhook_id);
COMMENT ON TABLE webhook_deliveries IS
    'What was sent to webhooks. Belongs to a creator by way of its webhook; the payload repeats the handle.';

CREATE TABLE audit_logs (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000000000) PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    actor_id uuid,
    subject_id uuid,
    subject_email text,
    action text NOT NULL,
    message text NOT NULL,
    ip inet
);
CREATE INDEX audit_logs_actor_id_idx ON audit_logs (actor_id);
CREATE INDEX audit_logs_subject_id_idx ON audit_logs (subject_id);
CREATE INDEX audit_logs_subject_email_idx ON audit_logs (subject_email);
COMMENT ON TABLE audit_logs IS
    'The product''s own audit log. No foreign key to creators: it outlives them; message repeats the e-mail address.';

CREATE TABLE ledger_entries (
    entry_no bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000000000) PRIMARY KEY,
    booked_on date NOT NULL,
    account_no bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('earning', 'fee', 'payout')),
    amount_cents bigint NOT NULL,
    currency char(3) NOT NULL
);
CREATE INDEX ledger_entries_account_no_idx ON ledger_entries (account_no);
COMMENT ON TABLE ledger_entries IS
    'Bookings of closed months. Append-only: rows never change, so a fingerprint of them tells whether a copy is whole.';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: book a correcting entry instead', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_logs, workflows, workflow_steps, webhooks, webhook_deliveries TO product_app;
GRANT SELECT, INSERT ON audit_logs, ledger_entries TO product_app;
GRANT USAGE ON SEQUENCE usage_logs_id_seq, webhook_deliveries_id_seq, audit_logs_id_seq, ledger_entries_entry_no_seq
    TO product_app;
GRANT EXECUTE ON FUNCTION ensure_usage_log_partitions TO product_app;
