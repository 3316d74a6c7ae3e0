-- depends: 0004_published_tables
-- The protocol of data subjects' requests: one open request of a type for each subject, transitions
-- that the table itself guards and records, and what the verification by mail needs.

ALTER TABLE gdpr_requests
    ADD COLUMN language        text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'fr')),
    ADD COLUMN mails           integer NOT NULL DEFAULT 0 CHECK (mails >= 0),
    ADD COLUMN mailed_at       timestamptz,
    ADD COLUMN wrong_tokens    integer NOT NULL DEFAULT 0 CHECK (wrong_tokens >= 0),
    ADD COLUMN used_token      text,
    ADD COLUMN consent_version text,
    ADD COLUMN consented_at    timestamptz,
    ADD CHECK ((consent_version IS NULL) = (consented_at IS NULL));

COMMENT ON COLUMN gdpr_requests.language IS 'Of the mails about this request: what the subject''s browser asked for.';
COMMENT ON COLUMN gdpr_requests.mails IS 'Verification mails written so far; each replaces the token of the one before.';
COMMENT ON COLUMN gdpr_requests.mailed_at IS 'When the newest verification mail was put into mail_outbox.';
COMMENT ON COLUMN gdpr_requests.verification_token IS
    'SHA-256 of the newest mailed token, hex; the token itself is stored nowhere. NULL once used.';
COMMENT ON COLUMN gdpr_requests.wrong_tokens IS 'Wrong tokens since the newest mail. Too many make its token worthless.';
COMMENT ON COLUMN gdpr_requests.used_token IS
    'SHA-256 of the token that verified it, so that a second click can be told that the first one counted.';
COMMENT ON COLUMN gdpr_requests.consent_version IS 'The wording that was agreed to; NULL where none was asked for.';
COMMENT ON COLUMN gdpr_requests.outcome IS
    'How it ended. A request that was cancelled or expired has status failed and raises no failure alert; error does.';
COMMENT ON COLUMN gdpr_lineage.step IS
    'status:<new> for a transition (what gdpr_requests_total counts): pending, verified, processing, completed, failed, '
    'cancelled or expired, written by a trigger of gdpr_requests. Else the step of the protocol.';

-- A second request of the same type answers with the first.
CREATE UNIQUE INDEX gdpr_requests_one_open ON gdpr_requests (creator_id, request_type)
    WHERE status IN ('pending', 'processing');
-- What expires next.
CREATE INDEX gdpr_requests_unverified ON gdpr_requests (verification_expires_at)
    WHERE status = 'pending' AND verified_at IS NULL;

CREATE FUNCTION guard_gdpr_request() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    IF OLD.status = NEW.status THEN
        RETURN NEW;
    END IF;
    IF (OLD.status = 'pending' AND NEW.status = 'processing' AND NEW.verified_at IS NOT NULL)
       OR (OLD.status = 'pending' AND NEW.status = 'failed' AND NEW.outcome IN ('cancelled', 'expired', 'error'))
       OR (OLD.status = 'processing' AND NEW.status = 'completed')
       OR (OLD.status = 'processing' AND NEW.status = 'failed' AND NEW.outcome = 'error')
       -- An operator resumes it.
       OR (OLD.status = 'failed' AND OLD.outcome = 'error' AND NEW.status = 'processing'
           AND NEW.verified_at IS NOT NULL)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'request % cannot go from % to %', OLD.request_id,
            concat_ws('/', OLD.status, OLD.outcome), concat_ws('/', NEW.status, NEW.outcome)
        USING ERRCODE = 'check_violation', HINT = 'only a verified request is processed, and an end is an end';
END
$$;
COMMENT ON FUNCTION guard_gdpr_request() IS 'Trigger of gdpr_requests: refuses transitions that are not in the protocol.';
CREATE TRIGGER gdpr_requests_guard BEFORE UPDATE OF status ON gdpr_requests
    FOR EACH ROW EXECUTE FUNCTION guard_gdpr_request();

CREATE FUNCTION record_gdpr_transition() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
DECLARE
    entered text := CASE WHEN NEW.status = 'failed' AND NEW.outcome IN ('cancelled', 'expired')
                         THEN NEW.outcome ELSE NEW.status END;
BEGIN
    IF TG_OP = 'INSERT' OR OLD.status <> NEW.status THEN
        INSERT INTO public.gdpr_lineage (request_id, step, details)
        VALUES (NEW.request_id, 'status:' || entered, jsonb_build_object('request_type', NEW.request_type));
    END IF;
    IF NEW.verified_at IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.verified_at IS NULL) THEN
        INSERT INTO public.gdpr_lineage (request_id, step, details)
        VALUES (NEW.request_id, 'status:verified', jsonb_build_object('request_type', NEW.request_type));
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_gdpr_transition() IS
    'Trigger of gdpr_requests: writes each transition to gdpr_lineage in the same transaction, whoever makes it.';
CREATE TRIGGER gdpr_requests_lineage AFTER INSERT OR UPDATE OF status, verified_at ON gdpr_requests
    FOR EACH ROW EXECUTE FUNCTION record_gdpr_transition();

GRANT UPDATE (language, mails, mailed_at, wrong_tokens, used_token, consent_version, consented_at, requestor_email)
    ON gdpr_requests TO ops_api;
-- Is the mail of before still on its way?
GRANT SELECT (sent_at, given_up_at) ON mail_outbox TO ops_api;
-- The agent expires requests that nobody verified.
GRANT SELECT (verification_expires_at), UPDATE (status, outcome, completed_at)
    ON gdpr_requests TO ops_agent;
GRANT INSERT ON gdpr_lineage TO ops_agent;
