-- Two people in one row; the invitation is addressed by name.

INSERT INTO collaborations (inviter_id, invitee_id, post_id, share, message, invited_at, accepted_at)
SELECT pg_temp.person(inviter), pg_temp.person(1 + mod(inviter + pg_temp.pick(n, 90, %(creators)s - 2), %(creators)s)), n,
       5 + pg_temp.pick(n, 91, 45), 'Dear ' || pg_temp.full_name(1 + mod(inviter + pg_temp.pick(n, 90, %(creators)s - 2), %(creators)s))
       || ', shall we do this one together?', pg_temp.moment(n, 92, 300),
       CASE WHEN mod(n, 3) <> 0 THEN pg_temp.moment(n, 92, 300) + interval '2 days' END
FROM generate_series(1, %(collaborations)s::bigint) AS n, LATERAL (SELECT pg_temp.post_owner(n) AS inviter) AS o;
