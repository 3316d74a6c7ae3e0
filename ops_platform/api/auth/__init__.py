"""Authentication: bearer tokens and the keys of the identity provider that signed them.

What a subject may see is decided by the routes; here it is only established who asks.
"""

from ops_platform.api.auth.bearer_token import Identity

__all__ = ["Identity", "bearer_token", "jwks"]
