-- depends: 0002_erasure
-- Who is being erased, for the attempt that goes on after a kill: the rows that say it are among those that
-- are erased. Written before the first deletion, sealed with the platform's encryption key where it has
-- one, and removed with the row when nothing is left.

ALTER TABLE ops_platform.erasures ADD COLUMN identity BYTEA;
COMMENT ON COLUMN ops_platform.erasures.identity IS
    'Identifiers and places of the person whom the erasure is about, sealed where an encryption key is configured; NULL in erasures that an older version began.';
