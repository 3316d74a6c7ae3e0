-- depends: 0003_audit
-- Writers of the ledger demand each row back as it was stored: a trigger or a rule that drops or alters
-- rows leaves no error. The API gets what it needs for that; ids and epochs it does not see. The ledger
-- holds nothing personal and is meant to be read.
GRANT SELECT (event_id, xid, occurred_at, actor, action, phase, operation_id, object, outcome, details, commitments)
    ON audit_events TO ops_api;
