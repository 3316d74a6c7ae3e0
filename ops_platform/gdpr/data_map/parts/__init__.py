"""The parts of a data map about the subject's other databases: what a part is, and the parser of its limits.

Not here: the tables of a part, which are parsed as the home database's are (``data_map.parser``), and
connections to databases (``gdpr.connections``).
"""

__all__ = ["database", "part_parser"]
