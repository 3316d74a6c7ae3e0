"""Retention: rows whose term in the data map is over go, day by day, with the proofs of an erasure.

``term_check`` compares the terms with the database, ``due_rows`` writes which rows they mean, ``sweep`` takes
them batch by batch, ``outside_places`` what they name in buckets and caches, which waits for that in
``pending_removals``; ``daily_run`` puts it on record.
Not here: erasures at somebody's request, and the retention of the platform's own records (``housekeeping``).
"""

__all__ = ["daily_run", "outcome", "outside_places", "retention_store", "term_check"]
