-- Each round follows at another distance, so that no pair comes twice; then all but those near
-- either end follow a heavy creator.

INSERT INTO follows (follower_id, followed_id, since)
SELECT pg_temp.person(n), pg_temp.person(1 + mod(n - 1 + distance, %(creators)s)), pg_temp.moment(n, 50 + distance, 365)
FROM generate_series(1, %(creators)s::bigint) AS n, unnest(ARRAY[1, 7]) AS distance
UNION ALL
SELECT pg_temp.person(n), pg_temp.person(1 + mod(n, %(heavy)s)), pg_temp.moment(n, 54, 365)
FROM generate_series(%(heavy)s::bigint + 40, %(creators)s::bigint - 40) AS n;
