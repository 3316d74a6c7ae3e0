"""The demo's keys in the product's Redis, as an application would have cached its creators.

``creator:<id>:profile`` and ``creator:<id>:feed`` are by key, ``handle:<handle>`` by name. Handles are
a prefix trap: ``handle:tomas.horvath.3`` begins ``handle:tomas.horvath.30``, another person's.
"""

from __future__ import annotations

import json

from ops_platform.clients import postgres
from ops_platform.clients.redis import Cache

CACHED_CREATORS = 200
SECONDS = 30 * 86_400


def seed_cache(url: str, cache: Cache, *, creators: int = CACHED_CREATORS) -> int:
    """Cache the first creators of the product database at ``url``; return the number of keys written.

    It reads the rows that are there now, so that nobody who was erased comes back. Raises Unavailable,
    ConfigurationError.
    """
    with postgres.session(url, application="ops-platform demo cache") as connection:
        rows = connection.execute(
            "SELECT c.id::text AS id, c.handle, p.display_name, p.location, "
            "       ARRAY(SELECT id FROM posts WHERE creator_id = c.id ORDER BY created_at DESC, id LIMIT 10)"
            "       AS feed "
            "FROM creators c JOIN profiles p ON p.creator_id = c.id WHERE c.number <= %s ORDER BY c.number",
            (creators,),
        ).fetchall()
    values = {"creators:cached": str(len(rows))}
    for row in rows:
        values[f"creator:{row['id']}:profile"] = json.dumps(
            {"handle": row["handle"], "display_name": row["display_name"], "location": row["location"]}
        )
        values[f"creator:{row['id']}:feed"] = json.dumps(row["feed"])
        values[f"handle:{row['handle']}"] = row["id"]
    cache.set_many(values, seconds=SECONDS)
    return len(values)
