-- The product's own audit log. One entry in three was caused by somebody else than it is about.

INSERT INTO audit_logs (id, occurred_at, actor_id, subject_id, subject_email, action, message, ip) OVERRIDING SYSTEM VALUE
SELECT n, pg_temp.moment(n, 140, 365), pg_temp.person(CASE WHEN mod(n, 3) = 0 THEN 1 + pg_temp.pick(n, 141, %(creators)s) ELSE subject END),
       pg_temp.person(subject), CASE WHEN mod(n, 2) = 0 THEN lower(pg_temp.email(subject)) END,
       (ARRAY['login', 'email.changed', 'password.changed', 'payout.requested'])[1 + mod(n, 4)],
       pg_temp.full_name(subject) || ' <' || lower(pg_temp.email(subject)) || '> from '
       || host(pg_temp.address(n)), pg_temp.address(n)
FROM generate_series(1, %(audit_logs)s::bigint) AS n,
     LATERAL (SELECT pg_temp.owner(n, 142, %(heavy_audit_logs)s) AS subject) AS s;
