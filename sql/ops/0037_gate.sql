-- depends: 0036_guard
-- Overrides of the release gate. Each is in the audit ledger, too, in the same transaction.
CREATE TABLE gate_overrides (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service    text CHECK (length(service) BETWEEN 1 AND 200),
    checks     text[] NOT NULL CHECK (cardinality(checks) > 0),
    made_by    text NOT NULL CHECK (length(made_by) BETWEEN 1 AND 200),
    because    text NOT NULL CHECK (length(because) BETWEEN 10 AND 1000),
    made_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK (expires_at > made_at AND expires_at <= made_at + interval '8 days')
);
COMMENT ON TABLE gate_overrides IS
    'Who answered for a check of the release gate, of which service (NULL: every one), why and until when.';
CREATE INDEX gate_overrides_by_end ON gate_overrides (expires_at);

GRANT SELECT, INSERT ON gate_overrides TO ops_worker;
GRANT SELECT ON _yoyo_migration TO ops_worker;
DO $$
BEGIN
    -- It answers rollouts: it reads what stands, and whether the schema is the installation's.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_guard') THEN
        GRANT SELECT ON gate_overrides, _yoyo_migration TO ops_guard;
    END IF;
END $$;
