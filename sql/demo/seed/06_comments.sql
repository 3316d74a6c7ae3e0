-- Every fifth comment answers the one before it and so hangs on the same post.

INSERT INTO comments (id, post_id, author_id, parent_id, body, created_at)
SELECT n, 1 + pg_temp.pick(CASE WHEN mod(n, 5) = 0 THEN n - 1 ELSE n END, 70, %(posts)s),
       pg_temp.person(pg_temp.owner(n, 71, %(heavy_comments)s)), CASE WHEN mod(n, 5) = 0 THEN n - 1 END,
       pg_temp.sentence(n, 72) || ' ' || pg_temp.sentence(n, 73), pg_temp.moment(n, 74, 365)
FROM generate_series(1, %(comments)s::bigint) AS n;
