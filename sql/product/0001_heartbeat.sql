-- The platform's footprint in a database that is backed up: a row about every ten seconds. It makes
-- any moment a reachable recovery target also on an idle server, and data loss measurable. The
-- schema is made by sql/roles/product.sql or by the migration's runner (CREATE SCHEMA IF NOT EXISTS
-- needs a privilege on the database even when the schema is there); the ops database is a stanza too
-- and has it as well.

CREATE TABLE ops_platform.heartbeats (
    beat_at TIMESTAMPTZ PRIMARY KEY
);
COMMENT ON TABLE ops_platform.heartbeats IS
    'Written by the agent of ops_platform, each row in a transaction of its own; rows older than three days are pruned.';

REVOKE ALL ON SCHEMA ops_platform FROM PUBLIC;
GRANT USAGE ON SCHEMA ops_platform TO ops_agent, ops_worker;
GRANT SELECT, INSERT, DELETE ON ops_platform.heartbeats TO ops_agent;
GRANT SELECT ON ops_platform.heartbeats TO ops_worker;
