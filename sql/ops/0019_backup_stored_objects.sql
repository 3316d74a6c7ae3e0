-- depends: 0018_gdpr_look_ups
-- What the repository stores, and when each object was last read against its checksum by backup_verify.

CREATE TABLE backup_stored_objects (
    stanza       TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('set', 'wal')),
    holder       TEXT NOT NULL,
    name         TEXT NOT NULL,
    size_bytes   BIGINT NOT NULL CHECK (size_bytes >= 0),
    stored_at    TIMESTAMPTZ NOT NULL,
    due_at       TIMESTAMPTZ NOT NULL,
    reads        INTEGER NOT NULL DEFAULT 0 CHECK (reads >= 0),
    read_at      TIMESTAMPTZ,
    damage       TEXT,
    damaged_sets TEXT[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (stanza, holder, name),
    CONSTRAINT read_objects_say_when CHECK ((reads > 0) = (read_at IS NOT NULL))
);
-- What is to be read next, what is overdue, what was never read, what is damaged: each without the rest.
CREATE INDEX backup_stored_objects_due ON backup_stored_objects (stanza, due_at);
CREATE INDEX backup_stored_objects_unread ON backup_stored_objects (stanza, due_at) INCLUDE (size_bytes) WHERE read_at IS NULL;
CREATE INDEX backup_stored_objects_damaged ON backup_stored_objects (stanza) WHERE damage IS NOT NULL;

COMMENT ON TABLE backup_stored_objects IS
    'Objects of the sets and segments of the archive, as listed in the repository by the newest backup_verify. '
    'One that is overwritten counts as unread again; one that expired is deleted here too.';
COMMENT ON COLUMN backup_stored_objects.holder IS
    'Label of the set (kind set), or archive id and folder (kind wal); name is the path in it.';
COMMENT ON COLUMN backup_stored_objects.due_at IS
    'When the next reading is due: a third of the retention after it was stored or last found sound.';
COMMENT ON COLUMN backup_stored_objects.reads IS 'How often it was read and found sound.';
COMMENT ON COLUMN backup_stored_objects.damage IS
    'What the newest reading found wrong; damaged_sets are the sets that cannot be restored because of it.';

GRANT SELECT, INSERT, UPDATE, DELETE ON backup_stored_objects TO ops_worker;
GRANT SELECT ON backup_stored_objects TO ops_agent, ops_api;
