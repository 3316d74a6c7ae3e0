-- depends: 0013_slo_hours_of_a_service
-- The work on data subjects' requests: who has claimed one, how often it was tried, what it did.

ALTER TABLE gdpr_requests
    ADD COLUMN attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    ADD COLUMN run_id          text,
    ADD COLUMN claimed_at      timestamptz,
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN failure         text,
    ADD COLUMN map_version     text;

COMMENT ON COLUMN gdpr_requests.attempts IS
    'Claims since the work began, or since an operator resumed it. Too many make the request failed.';
COMMENT ON COLUMN gdpr_requests.run_id IS
    'The run that claimed it last. It works as long as its session holds the advisory lock gdpr-request/<request id>: '
    'a run that died is told by the lock being free.';
COMMENT ON COLUMN gdpr_requests.next_attempt_at IS 'Not tried again before; NULL: at once.';
COMMENT ON COLUMN gdpr_requests.failure IS 'Why the newest attempt failed, in one line without personal data; NULL while none did.';
COMMENT ON COLUMN gdpr_requests.map_version IS 'The data map that the newest attempt went by.';
COMMENT ON COLUMN gdpr_requests.requestor_email IS
    'The address on record when the request was made; empty once the subject is erased.';

ALTER TABLE gdpr_lineage
    ADD COLUMN run_id      text,
    ADD COLUMN map_version text;

COMMENT ON COLUMN gdpr_lineage.run_id IS 'The run that did it; NULL: no run of Dagster''s.';
COMMENT ON COLUMN gdpr_lineage.map_version IS 'The data map that it went by; NULL for a change of status.';
COMMENT ON COLUMN gdpr_lineage.object IS
    'A table, a bucket with its prefix, a key pattern, a processor, as the data map writes it: never a value of the subject''s.';

CREATE OR REPLACE FUNCTION record_gdpr_transition() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
DECLARE
    entered text := CASE WHEN NEW.status = 'failed' AND NEW.outcome IN ('cancelled', 'expired')
                         THEN NEW.outcome ELSE NEW.status END;
BEGIN
    IF TG_OP = 'INSERT' OR OLD.status <> NEW.status THEN
        INSERT INTO public.gdpr_lineage (request_id, step, details, run_id)
        VALUES (NEW.request_id, 'status:' || entered, jsonb_build_object('request_type', NEW.request_type),
                CASE WHEN NEW.status = 'pending' THEN NULL ELSE NEW.run_id END);
    END IF;
    IF NEW.verified_at IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.verified_at IS NULL) THEN
        INSERT INTO public.gdpr_lineage (request_id, step, details)
        VALUES (NEW.request_id, 'status:verified', jsonb_build_object('request_type', NEW.request_type));
    END IF;
    RETURN NULL;
END
$$;

-- What the metrics count and what is looked for when an erasure goes on where it stopped.
CREATE INDEX gdpr_lineage_status ON gdpr_lineage (step, (details ->> 'request_type')) WHERE step LIKE 'status:%';
