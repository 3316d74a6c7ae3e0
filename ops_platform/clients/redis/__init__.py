"""Redis: the product's keys, and an exact moving window for rate limits.

Not here: which keys are a subject's (``gdpr.data_map``), and what is limited (``api.edge``).
"""

from ops_platform.clients.redis.cache import Cache
from ops_platform.clients.redis.moving_window import Admission, MovingWindow

__all__ = ["Admission", "Cache", "MovingWindow", "cache"]
