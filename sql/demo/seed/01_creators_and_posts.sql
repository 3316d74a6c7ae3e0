-- Creators and posts in one step: each names the other, and the foreign key is checked at commit.

INSERT INTO creators (id, number, handle, email, full_name, date_of_birth, country, phone, status, referred_by,
                      featured_post_id, created_at, updated_at)
SELECT pg_temp.person(n), n, pg_temp.handle(n), pg_temp.email(n), pg_temp.full_name(n),
       DATE '1950-01-01' + pg_temp.pick(n, 1, 20000)::integer, pg_temp.country(n),
       CASE WHEN mod(n, 3) = 0 THEN '+999 ' || lpad(pg_temp.pick(n, 2, 100000000)::text, 8, '0') END,
       CASE WHEN n > %(heavy)s AND mod(n, 97) = 0 THEN 'suspended' ELSE 'active' END,
       CASE WHEN n > 1 AND mod(n, 4) = 0 THEN pg_temp.person(1 + pg_temp.pick(n, 3, n - 1)) END,
       CASE WHEN mod(n, 2) = 0 THEN pg_temp.first_post(n) END,
       pg_temp.moment(n, 4, 700) - interval '366 days', pg_temp.moment(n, 5, 30)
FROM generate_series(1, %(creators)s::bigint) AS n;

INSERT INTO posts (id, creator_id, editor_id, title, body, status, collaborator_ids, metadata, created_at, published_at)
SELECT n, pg_temp.person(pg_temp.post_owner(n)),
       CASE WHEN mod(n, 6) = 0 THEN pg_temp.person(1 + pg_temp.pick(n, 10, %(creators)s)) END,
       pg_temp.subject(n) || ' (' || n::text || ')',
       concat_ws(' ', pg_temp.sentence(n, 11), pg_temp.sentence(n, 12), pg_temp.sentence(n, 13), pg_temp.sentence(n, 14),
                 pg_temp.sentence(n, 15)),
       CASE WHEN mod(n, 9) = 0 THEN 'draft' ELSE 'published' END,
       CASE WHEN mod(n, 8) = 0 THEN ARRAY[pg_temp.person(other), pg_temp.person(1 + mod(other, %(creators)s))]
            ELSE '{}' END,
       CASE WHEN mod(n, 8) = 0 THEN jsonb_build_object(
                'co_authors', jsonb_build_array(jsonb_build_object(
                    'id', pg_temp.person(other), 'handle', pg_temp.handle(other), 'email', lower(pg_temp.email(other)))),
                'tags', jsonb_build_array(pg_temp.tag(n, 18)))
            WHEN mod(n, 8) = 4 THEN jsonb_build_object(
                'mentions', jsonb_build_array(pg_temp.handle(other)), 'tags', jsonb_build_array(pg_temp.tag(n, 18)))
            ELSE jsonb_build_object('tags', jsonb_build_array(pg_temp.tag(n, 18), pg_temp.tag(n, 19))) END,
       pg_temp.moment(n, 20, 365),
       CASE WHEN mod(n, 9) <> 0 THEN pg_temp.moment(n, 20, 365) + make_interval(secs => pg_temp.pick(n, 21, 9)) END
FROM generate_series(1, %(posts)s::bigint) AS n, LATERAL (SELECT 1 + pg_temp.pick(n, 22, %(creators)s) AS other) AS o;
