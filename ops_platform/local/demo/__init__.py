"""The demo product: its people, its past (``history``), its first data (``seed``), and its ``traffic``."""

__all__ = ["history", "seed"]
