-- depends: 0001_base
-- How far recurring deletions got, so that a daily run reads what is new and not the whole past.
CREATE TABLE retention_marks (
    name       text PRIMARY KEY,
    up_to_id   bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE retention_marks IS 'Recurring deletions: all rows up to up_to_id have been looked at. Losing a row costs one full pass, nothing else.';
GRANT SELECT, INSERT, UPDATE ON retention_marks TO ops_worker;
