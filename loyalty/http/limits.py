"""Limits of requests per minute, for keys that were given one.

All processes count together in Redis; where Redis does not answer at once, each counts for
itself. Keys without a limit, which are most of them, never come here and never wait for Redis.
"""

import time
from functools import lru_cache
from typing import Final

import redis
from django.conf import settings

from loyalty.errors import RateLimited

WINDOW_SECONDS: Final = 60
PATIENCE_SECONDS: Final = 0.1

_here: dict[tuple[int, int], int] = {}


def spend_one(key_id: int, limit: int) -> None:
    """Count a request of this key in the present minute.

    Raises:
        RateLimited: The minute is used up; its `Retry-After` is the rest of it.
    """
    now = time.time()
    window = int(now // WINDOW_SECONDS)
    if _count(key_id, window) > limit:
        rest = WINDOW_SECONDS - int(now % WINDOW_SECONDS)
        error = RateLimited(f"This API key may send {limit} requests per minute.", limit=limit)
        error.headers = {"Retry-After": str(rest)}
        raise error


def _count(key_id: int, window: int) -> int:
    name = f"loyalty:requests:{key_id}:{window}"
    try:
        with _client().pipeline(transaction=False) as pipeline:
            pipeline.incr(name)
            pipeline.expire(name, 2 * WINDOW_SECONDS)
            return int(pipeline.execute()[0])
    except (redis.RedisError, OSError):
        return _count_here(key_id, window)


def _count_here(key_id: int, window: int) -> int:
    for old in [counted for counted in _here if counted[1] < window]:
        _here.pop(old, None)
    _here[key_id, window] = _here.get((key_id, window), 0) + 1
    return _here[key_id, window]


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
    )
