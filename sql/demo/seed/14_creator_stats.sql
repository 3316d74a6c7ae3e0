-- Statistics of what the steps before made.

REFRESH MATERIALIZED VIEW creator_stats;
