-- Workflows with three steps each; the approver and the watcher are somebody else than the owner.

INSERT INTO workflows (id, owner_id, name, state, definition, watcher_emails, created_at)
SELECT pg_temp.key('workflow', n), pg_temp.person(1 + mod(n - 1, %(creators)s)), pg_temp.subject(n) || ', weekly',
       CASE WHEN mod(n, 10) = 0 THEN 'paused' ELSE 'active' END,
       jsonb_build_object('trigger', 'post.draft',
           'approvers', jsonb_build_array(jsonb_build_object('id', pg_temp.person(other), 'email', lower(pg_temp.email(other)))),
           'steps', jsonb_build_array('review', 'illustrate', 'publish'),
           'fallback', jsonb_build_object('notify', lower(pg_temp.email(1 + mod(n - 1, %(creators)s))))),
       CASE WHEN mod(n, 2) = 0 THEN ARRAY[lower(pg_temp.email(other))] ELSE '{}' END, pg_temp.moment(n, 110, 365)
FROM generate_series(1, %(workflows)s::bigint) AS n, LATERAL (SELECT 1 + pg_temp.pick(n, 111, %(creators)s) AS other) AS o;

INSERT INTO workflow_steps (workflow_id, position, assignee_id, action, status, finished_at)
SELECT pg_temp.key('workflow', n), step, CASE WHEN step < 3 THEN pg_temp.person(1 + pg_temp.pick(n * 3 + step, 112, %(creators)s)) END,
       (ARRAY['review', 'illustrate', 'publish'])[step], CASE WHEN mod(n, 4) = 0 THEN 'waiting' ELSE 'done' END,
       CASE WHEN mod(n, 4) <> 0 THEN pg_temp.moment(n, 113, 60) END
FROM generate_series(1, %(workflows)s::bigint) AS n, generate_series(1, 3) AS step;
