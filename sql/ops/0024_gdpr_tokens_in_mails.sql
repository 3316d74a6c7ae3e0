-- depends: 0023_gdpr_terms_of_mails

COMMENT ON COLUMN gdpr_requests.verification_token IS
    'SHA-256 of the newest mailed token, hex; NULL once used. The token itself is in the mail alone: in mail_outbox, in clear, until it has left.';
