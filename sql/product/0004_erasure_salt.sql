-- depends: 0003_erasure_identity
-- The ids of erasures without an ops database are derived from the subject's key, so that another attempt finds
-- them. With a salt nobody who reads an id elsewhere can try out whose it is.

CREATE TABLE ops_platform.erasure_salt (
    one  BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    salt BYTEA NOT NULL CHECK (length(salt) = 32)
);
COMMENT ON TABLE ops_platform.erasure_salt IS
    'The salt of the ids of erasures that no ops database knows of (gdpr erase --no-tombstone): at most one row, made by the first. Without it no begun erasure is found again.';

GRANT SELECT, INSERT ON ops_platform.erasure_salt TO ops_eraser;
