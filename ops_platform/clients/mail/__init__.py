"""Mail: SMTP, the outbox table of the ops database, and reading a Maildir.

The duties decide which mail is sent, and word it.
"""

__all__ = ["maildir", "outbox", "smtp"]
