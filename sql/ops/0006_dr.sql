-- depends: 0004_published_tables 0005_housekeeping
-- Exercises: what each restore was measured by, and one way to finish its row.

ALTER TABLE dr_exercises
    ADD COLUMN root_run_id     text,
    ADD COLUMN worker_host     text,
    ADD COLUMN worker_pid      integer,
    ADD COLUMN t0              timestamptz,
    ADD COLUMN recovery_target text,
    ADD COLUMN assurance_ms    bigint CHECK (assurance_ms >= 0),
    ADD COLUMN phases          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(phases) = 'object'),
    ADD COLUMN copy_bytes      bigint CHECK (copy_bytes >= 0),
    ADD COLUMN copy_seconds    double precision CHECK (copy_seconds >= 0),
    ADD COLUMN replay_bytes    bigint CHECK (replay_bytes >= 0),
    ADD COLUMN copy_rate       double precision CHECK (copy_rate >= 0),
    ADD COLUMN replay_seconds  double precision CHECK (replay_seconds >= 0),
    ADD COLUMN replay_rate     double precision CHECK (replay_rate >= 0),
    ADD COLUMN reconciled      boolean NOT NULL DEFAULT false,
    -- Of the platform's own rows: an insert of the published shape, which has no run, knows neither.
    ADD CONSTRAINT finished_exercises_say_when CHECK (
        run_id IS NULL OR (result IS NULL) = (completed_at IS NULL)),
    ADD CONSTRAINT unsuccessful_exercises_say_why CHECK (
        run_id IS NULL OR result IS NULL OR result = 'success' OR reason IS NOT NULL);

CREATE INDEX dr_exercises_running ON dr_exercises (stanza) WHERE result IS NULL;
CREATE INDEX dr_exercises_root_run ON dr_exercises (root_run_id);

COMMENT ON COLUMN dr_exercises.t0 IS 'The declared moment of the disaster: RPO counts back from it, RTO on from it.';
COMMENT ON COLUMN dr_exercises.assurance_ms IS 'From t0 until the deep verifications ended too; no part of RTO.';
COMMENT ON COLUMN dr_exercises.phases IS 'Phase -> seconds: select, restore, replay, promote, tombstones, critical, assurance.';
COMMENT ON COLUMN dr_exercises.replay_bytes IS 'WAL between the beginning and the end of redo.';
COMMENT ON COLUMN dr_exercises.copy_rate IS
    'Bytes per second while the large files were copied; replay_rate: of WAL, from its first record to its last.';
COMMENT ON COLUMN dr_exercises.reconciled IS 'The run died without a word and somebody else finished its row.';
COMMENT ON COLUMN dr_exercises.verifications IS
    'Verification -> {result, passed, detail, numbers}; result unknown means that it could not run, and is no pass.';

CREATE FUNCTION guard_exercise() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
DECLARE
    stack text;
BEGIN
    -- The call stack, not a setting: a setting could be made by anybody.
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF TG_OP = 'UPDATE' AND stack LIKE '%function%record_exercise_completion(%' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of dr_exercises is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'call record_exercise_completion()';
END
$$;

CREATE TRIGGER guard_exercise BEFORE UPDATE OR DELETE ON dr_exercises
    FOR EACH ROW EXECUTE FUNCTION guard_exercise();
CREATE TRIGGER guard_exercises BEFORE TRUNCATE ON dr_exercises
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Also under session_replication_role = replica.
ALTER TABLE dr_exercises ENABLE ALWAYS TRIGGER guard_exercise;
ALTER TABLE dr_exercises ENABLE ALWAYS TRIGGER guard_exercises;

CREATE FUNCTION record_exercise_completion(
    p_exercise_id     text,
    p_result          text,
    p_completed_at    timestamptz,
    p_reason          text DEFAULT NULL,
    p_t0              timestamptz DEFAULT NULL,
    p_rto_ms          bigint DEFAULT NULL,
    p_rpo_ms          bigint DEFAULT NULL,
    p_assurance_ms    bigint DEFAULT NULL,
    p_backup_label    text DEFAULT NULL,
    p_recovery_target text DEFAULT NULL,
    p_phases          jsonb DEFAULT '{}',
    p_copy_bytes      bigint DEFAULT NULL,
    p_copy_seconds    double precision DEFAULT NULL,
    p_replay_bytes    bigint DEFAULT NULL,
    p_replay_seconds  double precision DEFAULT NULL,
    p_copy_rate       double precision DEFAULT NULL,
    p_replay_rate     double precision DEFAULT NULL,
    p_verifications   jsonb DEFAULT '{}',
    p_reconciled      boolean DEFAULT false
) RETURNS dr_exercises
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    exercise dr_exercises;
BEGIN
    IF p_result IS NULL OR p_result NOT IN ('success', 'partial', 'failed') THEN
        RAISE EXCEPTION 'an exercise is finished as success, partial or failed, not as %', coalesce(p_result, 'nothing')
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO exercise FROM dr_exercises WHERE exercise_id = p_exercise_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no exercise %', p_exercise_id
            USING ERRCODE = 'no_data_found', HINT = 'insert it without a result first';
    END IF;
    -- A success is what the numbers say, not what somebody says. RPO is NULL where no moment was restored.
    IF p_result = 'success' AND (
        NOT coalesce(p_rto_ms <= exercise.target_rto_ms, false)
        OR coalesce(p_rpo_ms > exercise.target_rpo_ms, false)
        OR EXISTS (SELECT FROM jsonb_each(p_verifications) AS v WHERE v.value ->> 'result' IS DISTINCT FROM 'pass')
    ) THEN
        RAISE EXCEPTION 'exercise % is no success: a verification did not pass or a target was missed', p_exercise_id
            USING ERRCODE = 'check_violation', HINT = 'record it as partial or failed';
    END IF;
    -- Told again what is known already: nothing to do.
    IF exercise.result = p_result THEN
        RETURN exercise;
    END IF;
    -- Somebody gave a living exercise up for dead: its own word counts.
    IF exercise.result IS NOT NULL AND NOT exercise.reconciled THEN
        RAISE EXCEPTION 'exercise % is already %', p_exercise_id, exercise.result
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'a finished exercise does not change';
    END IF;
    UPDATE dr_exercises SET
        result = p_result,
        success_criteria_met = (p_result = 'success'),
        completed_at = p_completed_at,
        reason = p_reason,
        t0 = p_t0,
        actual_rto_ms = p_rto_ms,
        actual_rpo_ms = p_rpo_ms,
        assurance_ms = p_assurance_ms,
        backup_label = p_backup_label,
        recovery_target = p_recovery_target,
        phases = p_phases,
        copy_bytes = p_copy_bytes,
        copy_seconds = p_copy_seconds,
        replay_bytes = p_replay_bytes,
        replay_seconds = p_replay_seconds,
        copy_rate = p_copy_rate,
        replay_rate = p_replay_rate,
        verifications = p_verifications,
        reconciled = p_reconciled
    WHERE id = exercise.id
    RETURNING * INTO exercise;
    RETURN exercise;
END
$$;

COMMENT ON FUNCTION record_exercise_completion IS
    'Finishes an exercise as success, partial or failed; the only way. Idempotent: the same result told twice changes nothing.';

REVOKE UPDATE ON dr_exercises FROM ops_worker;
GRANT EXECUTE ON FUNCTION record_exercise_completion TO ops_worker, ops_agent;
