"""The edge of the API: size limits, security headers, rate limits, and an answer whatever happens inside.

Every request passes it before its endpoint. Endpoints are in ``api.routes``.
"""

from ops_platform.api.edge.shield import BodyTooLarge, Shield, too_large, unexpected

__all__ = ["BodyTooLarge", "Shield", "guards", "too_large", "unexpected"]
