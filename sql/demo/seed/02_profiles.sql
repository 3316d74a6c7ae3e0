-- Public pages. Only creators that have objects in the media bucket have an avatar there.

INSERT INTO profiles (creator_id, display_name, bio, location, website, avatar_key, links, updated_at)
SELECT pg_temp.person(n), pg_temp.full_name(n), pg_temp.sentence(n, 30), pg_temp.city(n),
       CASE WHEN mod(n, 2) = 0 THEN 'https://' || replace(pg_temp.handle(n), '.', '-') || '.example.org/' END,
       CASE WHEN n <= %(with_objects)s THEN 'avatars/' || n::text || '/256.png' END,
       CASE WHEN mod(n, 3) = 0 THEN jsonb_build_object('mail', lower(pg_temp.email(n)), 'shop', 'https://shop.example.com/')
            ELSE '{}' END,
       pg_temp.moment(n, 31, 90)
FROM generate_series(1, %(creators)s::bigint) AS n;
