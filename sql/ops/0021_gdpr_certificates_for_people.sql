-- depends: 0020_gdpr_the_persons_way
-- The certificate reaches the person: with the last mail, and on the status page.

ALTER TABLE mail_outbox ADD COLUMN attachments jsonb NOT NULL DEFAULT '[]';

COMMENT ON COLUMN mail_outbox.attachments IS
    'Text files that come with the mail: a list of {name, media_type, text}. Emptied with the mail''s text.';

-- The API gives a certificate to its subject.
GRANT SELECT ON gdpr_certificates TO ops_api;
