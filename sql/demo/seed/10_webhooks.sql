-- Webhooks and what was delivered to them; the first ones are the heavy creators'.

INSERT INTO webhooks (id, creator_id, url, secret_hash, events, active, created_at)
SELECT pg_temp.key('webhook', n), pg_temp.person(1 + mod(n - 1, %(creators)s)),
       'https://hooks.example.net/' || pg_temp.handle(1 + mod(n - 1, %(creators)s)) || '/' || n::text,
       sha256(convert_to('webhook:' || n::text, 'UTF8')), ARRAY['post.published', 'comment.created'], mod(n, 20) <> 0,
       pg_temp.moment(n, 120, 500)
FROM generate_series(1, %(webhooks)s::bigint) AS n;

INSERT INTO webhook_deliveries (id, webhook_id, event, payload, signature_valid, response_code, delivered_at)
OVERRIDING SYSTEM VALUE
SELECT n, pg_temp.key('webhook', hook), 'post.published',
       jsonb_build_object('creator', pg_temp.handle(1 + mod(hook - 1, %(creators)s)), 'post', 1 + pg_temp.pick(n, 121, %(posts)s)),
       true, CASE WHEN mod(n, 40) = 0 THEN 503 ELSE 200 END, pg_temp.moment(n, 122, 90)
FROM generate_series(1, %(webhook_deliveries)s::bigint) AS n, LATERAL (
    SELECT CASE WHEN n <= %(heavy_webhook_deliveries)s THEN 1 + mod(n - 1, %(heavy)s)
                ELSE %(heavy)s + 1 + pg_temp.pick(n, 123, %(webhooks)s - %(heavy)s) END AS hook
) AS h;
