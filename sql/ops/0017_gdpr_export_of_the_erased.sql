-- depends: 0016_gdpr_exports
-- An erasure ends the subject's exports that have failed and would be tried again, as it ends those not begun.

CREATE OR REPLACE FUNCTION guard_gdpr_request() RETURNS trigger
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
       -- The subject was erased meanwhile.
       OR (OLD.status = 'processing' AND NEW.status = 'failed' AND NEW.outcome = 'cancelled'
           AND NEW.request_type = 'export')
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
