"""Mail: SMTP, the outbox table of the ops database, and reading a Maildir.

Which mail is sent, and its words, belong to the duties.
"""

__all__ = ["maildir", "outbox", "smtp"]
