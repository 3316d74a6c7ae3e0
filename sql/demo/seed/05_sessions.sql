-- Logins of the last four months.

INSERT INTO sessions (id, creator_id, token_hash, ip, user_agent, created_at, last_seen_at, expires_at)
SELECT pg_temp.key('session', n), pg_temp.person(pg_temp.owner(n, 60, %(heavy_sessions)s)),
       sha256(convert_to('session:' || n::text, 'UTF8')), pg_temp.address(n), pg_temp.browser(n),
       at, at + make_interval(secs => pg_temp.pick(n, 61, 86400)), at + interval '30 days'
FROM generate_series(1, %(sessions)s::bigint) AS n, LATERAL (SELECT pg_temp.moment(n, 62, 120) AS at) AS t;
