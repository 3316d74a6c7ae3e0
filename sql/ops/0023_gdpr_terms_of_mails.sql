-- depends: 0022_gdpr_sign_ins
-- Each mail is tried for as long as it is worth something; a sign-in ends with the address that it went to.

ALTER TABLE mail_outbox ADD COLUMN give_up_at timestamptz;

COMMENT ON COLUMN mail_outbox.give_up_at IS
    'From then on the mail is out of date: it is not sent any more, and its text is cleared. NULL: 24 hours after created_at.';

ALTER TABLE gdpr_sign_ins ADD COLUMN address_hash text CHECK (address_hash ~ '^[0-9a-f]{64}$');

COMMENT ON COLUMN gdpr_sign_ins.address_hash IS
    'SHA-256 of the address, in small letters, that the link was mailed to, hex. NULL: of a link from before, which is good for nothing.';
COMMENT ON COLUMN gdpr_sign_ins.link_hash IS
    'SHA-256 of the link''s token, hex. The token itself is in the mail alone: in mail_outbox, in clear, until it has left.';
