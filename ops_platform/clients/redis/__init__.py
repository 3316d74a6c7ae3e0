"""Redis: the product's keys, and an exact moving window for rate limits."""

from ops_platform.clients.redis.cache import Cache
from ops_platform.clients.redis.moving_window import Admission, MovingWindow

__all__ = ["Admission", "Cache", "MovingWindow", "cache"]
