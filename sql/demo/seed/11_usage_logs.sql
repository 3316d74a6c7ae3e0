-- One month's share: the rows whose number, modulo the months, is this month's.

INSERT INTO usage_logs (id, occurred_at, creator_id, session_id, event, ip, properties)
SELECT n, %(month_start)s::timestamptz + make_interval(secs => pg_temp.pick(n, 130, %(month_seconds)s)),
       pg_temp.person(pg_temp.owner(n, 131, %(heavy_usage_logs)s)),
       CASE WHEN mod(n, 2) = 0 THEN pg_temp.key('session', 1 + pg_temp.pick(n, 132, %(sessions)s)) END,
       (ARRAY['page.view', 'post.read', 'post.edit', 'media.play', 'search'])[1 + pg_temp.pick(n, 133, 5)],
       pg_temp.address(n), CASE WHEN mod(n, 4) = 0 THEN jsonb_build_object('post', 1 + pg_temp.pick(n, 134, %(posts)s)) END
FROM generate_series(%(month)s::bigint + 1, %(usage_logs)s::bigint, %(months)s) AS n;
