"""The edge of the API: size limits, security headers, rate limits, and an answer whatever happens inside.

Everything a request passes before and around its own endpoint. Endpoints are in ``api.routes``.
"""

from ops_platform.api.edge.shield import BodyTooLarge, Shield, too_large, unexpected

__all__ = ["BodyTooLarge", "Shield", "guards", "too_large", "unexpected"]
