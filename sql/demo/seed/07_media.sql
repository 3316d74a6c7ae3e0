-- Thumbnails are incompressible. After the heavy creators' media come those that have an object in the bucket.

INSERT INTO media (id, creator_id, post_id, kind, state, object_key, byte_size, thumbnail, exif, created_at)
SELECT pg_temp.key('media', n), pg_temp.person(creator), post, kind, CASE WHEN stored THEN 'ready' ELSE 'archived' END,
       CASE WHEN stored THEN 'creators/' || pg_temp.person(creator)::text || '/' || pg_temp.key('media', n)::text
                             || CASE kind WHEN 'image' THEN '.jpg' WHEN 'video' THEN '.mp4' ELSE '.ogg' END END,
       20000 + pg_temp.pick(n, 80, 5000000), pg_temp.noise(n, 81, 20 + pg_temp.pick(n, 82, 44)),
       CASE WHEN mod(n, 3) = 0 THEN jsonb_build_object('Artist', pg_temp.full_name(creator), 'Model', 'Box 120',
            'GPS', jsonb_build_array(pg_temp.pick(n, 83, 90), pg_temp.pick(n, 84, 180))) ELSE '{}' END,
       pg_temp.moment(n, 85, 365)
FROM (
    SELECT n, post, stored, pg_temp.post_owner(post) AS creator,
           (ARRAY['image', 'image', 'video', 'audio'])[1 + mod(n, 4)] AS kind
    FROM generate_series(1, %(media)s::bigint) AS n,
         LATERAL (SELECT n > %(heavy_media)s AND n <= %(heavy_media)s + 3 * %(with_objects)s AS stored) AS s,
         LATERAL (
             SELECT CASE WHEN n <= %(heavy_media)s THEN n
                         WHEN stored THEN pg_temp.first_post(1 + mod(n - %(heavy_media)s - 1, %(with_objects)s))
                         ELSE 1 + %(heavy_posts)s + pg_temp.pick(n, 86, %(posts)s - %(heavy_posts)s) END AS post
         ) AS p
) AS m;
