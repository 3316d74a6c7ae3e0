"""Authentication: bearer tokens and the keys of the identity provider that signed them.

The subject is identified here; the routes decide what a subject may see.
"""

from ops_platform.api.auth.bearer_token import Identity

__all__ = ["Identity", "bearer_token", "jwks"]
