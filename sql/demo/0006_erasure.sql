-- depends: 0004_views
-- Erasure refreshes what keeps names of its own.
GRANT EXECUTE ON FUNCTION refresh_creator_stats TO ops_eraser;
