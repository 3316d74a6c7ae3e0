"""An exact moving window over Redis: at most N events in any period of S seconds.

One Lua script checks and writes, so no interleaving of clients lets an event too many through, and all
clients share Redis's clock. Each event is kept with its time (a fixed window or a token bucket
would let nearly twice as many through).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from ops_platform.clients.redis.cache import Cache

# The members of a window are the admitted events, scored with their time in microseconds. A clock
# that jumps back stands still instead. The window is half open: an event leaves exactly one window
# length after it came.
SCRIPT = """
local limit, window, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
for _, key in ipairs(KEYS) do
    local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
    if newest[2] then now = math.max(now, tonumber(newest[2])) end
end
local used, wait, reset = 0, 0, 0
for _, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
    local count = redis.call('ZCARD', key)
    used = math.max(used, count)
    if count > 0 then
        local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
        reset = math.max(reset, tonumber(oldest[2]) + window - now)
    end
    if count >= limit then
        local leaves = redis.call('ZRANGE', key, count - limit, count - limit, 'WITHSCORES')
        wait = math.max(wait, tonumber(leaves[2]) + window - now)
    end
end
if wait > 0 or ARGV[5] == 'look' then
    return {wait > 0 and 0 or 1, used, string.format('%.0f', wait), string.format('%.0f', reset)}
end
for _, key in ipairs(KEYS) do
    redis.call('ZADD', key, string.format('%.0f', now), ARGV[3])
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
end
return {1, used + 1, '0', string.format('%.0f', math.max(reset, used == 0 and window or reset))}
"""


@dataclass(frozen=True)
class Admission:
    """The answer for one event. Seconds are rounded up."""

    admitted: bool
    limit: int
    remaining: int
    retry_after: int
    """Seconds until there is room again; 0 when admitted."""
    reset: int
    """Seconds until the oldest event leaves its window."""


@dataclass(frozen=True)
class MovingWindow:
    """At most ``limit`` events in any ``seconds``; in tests ``clock`` (Unix seconds) replaces Redis's."""

    cache: Cache
    limit: int
    seconds: float
    prefix: str = "{ops_platform:window}"
    """In braces, because all keys of a call must be in one slot of a Redis cluster."""
    clock: Callable[[], float] | None = None

    def hit(self, names: Sequence[str]) -> Admission:
        """Count one event against every name, or against none when one of them has no room.

        Raises Unavailable when Redis cannot be asked. Names are hashed: no key reveals a client.
        """
        return self._ask(names, "hit")

    def look(self, names: Sequence[str]) -> Admission:
        """Tell whether an event would be admitted, and count none. Raises Unavailable."""
        return self._ask(names, "look")

    def _ask(self, names: Sequence[str], mode: str) -> Admission:
        keys = [f"{self.prefix}:{hashlib.sha256(name.encode()).hexdigest()[:32]}" for name in names]
        now = "" if self.clock is None else f"{self.clock() * 1e6:.0f}"
        answer = self.cache.evaluate(
            SCRIPT, keys, [str(self.limit), f"{self.seconds * 1e6:.0f}", uuid4().hex, now, mode]
        )
        admitted, used, wait, reset = (int(value) for value in answer)
        return Admission(
            admitted=bool(admitted),
            limit=self.limit,
            remaining=max(0, self.limit - used),
            retry_after=_seconds(wait),
            reset=_seconds(reset),
        )


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1e6)
