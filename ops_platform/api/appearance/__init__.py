"""The look and the words of the pages for data subjects: the brand, and the texts in English and French.

The pages themselves are in ``api.pages``; the texts of mails are in ``gdpr.requests``.
"""

from ops_platform.api.appearance.brand import Brand, Logo, from_settings

__all__ = ["Brand", "Logo", "confirmation_texts", "frame_texts", "from_settings", "status_texts"]
