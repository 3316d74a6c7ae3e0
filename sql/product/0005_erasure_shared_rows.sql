-- depends: 0004_erasure_salt
-- What an erasure under way decided about rows that are somebody else's, too, before it destroyed anything:
-- its own steps take away what shows that they are. Rows are named by a hash of their key only.

CREATE TABLE IF NOT EXISTS ops_platform.erasure_shared_rows (
    erasure_id TEXT NOT NULL,
    table_name TEXT NOT NULL,
    role TEXT NOT NULL,
    row_hash BYTEA NOT NULL,
    becomes TEXT NOT NULL CHECK (becomes IN ('keep', 'stand_in', 'delete')),
    reached_by TEXT[] NOT NULL,
    PRIMARY KEY (erasure_id, table_name, role, row_hash)
);
COMMENT ON TABLE ops_platform.erasure_shared_rows IS
    'Rows of an erasure under way that another person reaches, too: what becomes of them, and by which ways they are reached; removed when it is complete.';

GRANT SELECT, INSERT, UPDATE, DELETE ON ops_platform.erasure_shared_rows TO ops_eraser;
