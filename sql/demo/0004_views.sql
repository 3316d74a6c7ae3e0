-- What is derived: a directory, statistics that keep names of their own, and how far the seed got.

CREATE VIEW creator_directory AS
    SELECT c.id, c.handle, p.display_name, p.location
    FROM creators c JOIN profiles p ON p.creator_id = c.id
    WHERE c.status = 'active';
COMMENT ON VIEW creator_directory IS 'Who can be found by the public.';

CREATE MATERIALIZED VIEW creator_stats AS
    SELECT c.id AS creator_id, c.handle,
           coalesce(p.posts, 0) AS posts, p.last_post_at,
           coalesce(m.comments, 0) AS comments, coalesce(f.followers, 0) AS followers
    FROM creators c
    LEFT JOIN (SELECT creator_id, count(*) AS posts, max(created_at) AS last_post_at FROM posts GROUP BY 1) p
        ON p.creator_id = c.id
    LEFT JOIN (SELECT author_id, count(*) AS comments FROM comments GROUP BY 1) m ON m.author_id = c.id
    LEFT JOIN (SELECT followed_id, count(*) AS followers FROM follows GROUP BY 1) f ON f.followed_id = c.id;
CREATE UNIQUE INDEX creator_stats_creator_id_idx ON creator_stats (creator_id);
COMMENT ON MATERIALIZED VIEW creator_stats IS 'Counts for each creator as of the last refresh: keeps handles until the next.';

CREATE FUNCTION refresh_creator_stats() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    REFRESH MATERIALIZED VIEW CONCURRENTLY public.creator_stats;
$$;
COMMENT ON FUNCTION refresh_creator_stats IS 'Refreshes creator_stats without blocking its readers.';
REVOKE ALL ON FUNCTION refresh_creator_stats FROM PUBLIC;

CREATE TABLE demo_seed_progress (
    step text PRIMARY KEY,
    scale numeric NOT NULL,
    row_count bigint NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE demo_seed_progress IS 'Finished steps of the demo seed, each written in the transaction that made its rows.';

GRANT SELECT ON creator_directory, creator_stats TO product_app;
GRANT EXECUTE ON FUNCTION refresh_creator_stats TO product_app;
