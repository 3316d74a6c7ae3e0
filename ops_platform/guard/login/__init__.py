"""How people come in and go out: password, login provider, trusted proxy; and the reasons that they give.

Who may come in at all, and with which role, is in ``guard.accounts``; what they may then do, elsewhere.
"""

from ops_platform.guard.login.attempts import Attempts
from ops_platform.guard.login.entrance import OUTSIDE, Entrance
from ops_platform.guard.login.provider import Provider, ProviderSettings
from ops_platform.guard.login.proxy import TrustedProxy

__all__ = ["OUTSIDE", "Attempts", "Entrance", "Provider", "ProviderSettings", "TrustedProxy"]
