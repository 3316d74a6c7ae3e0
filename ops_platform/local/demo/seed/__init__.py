"""First data of the demo product: rows, objects, cache keys."""

from ops_platform.local.demo.seed.cache_keys import seed_cache
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.demo.seed.statements import BROWSERS, CITIES, COUNTRIES, SENTENCES, SUBJECTS, TAGS

__all__ = ["BROWSERS", "CITIES", "COUNTRIES", "SENTENCES", "SUBJECTS", "TAGS", "seed", "seed_cache"]
