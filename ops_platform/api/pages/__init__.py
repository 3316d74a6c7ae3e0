"""The pages for people who have no program: confirming a request, and following it.

Each is static HTML in English and French with a script that calls the API; texts stand beside the page that
shows them. The look is in ``api.appearance``.
"""

from ops_platform.api.pages import confirmation, status
from ops_platform.api.pages.assets import router as assets_router

__all__ = ["assets_router", "confirmation", "status"]
