"""The demo product's first data: rows, objects, cache keys.

Not here: the schema, which is SQL in ``sql/demo``, and who the people are (``local.demo.people``).
"""

from ops_platform.local.demo.seed.cache_keys import seed_cache
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.demo.seed.statements import BROWSERS, CITIES, COUNTRIES, SENTENCES, SUBJECTS, TAGS

__all__ = ["BROWSERS", "CITIES", "COUNTRIES", "SENTENCES", "SUBJECTS", "TAGS", "seed", "seed_cache"]
