"""The exceptions whose messages people see.

Every message is one line: what is wrong, then what to do. Messages never contain a secret or
a personal datum; build them from names, never from a database's own DETAIL text.
"""


class OpsError(Exception):
    """Base of the platform's own errors; ``exit_code`` is the exit code of the command line."""

    exit_code = 1


class ConfigurationError(OpsError):
    """A setting, file or argument is missing or wrong; nothing was changed."""

    exit_code = 2


class Unavailable(OpsError):
    """An outside system cannot be reached or is not in a state to be used."""

    exit_code = 2


class CheckFailed(OpsError):
    """A check was carried out and failed."""

    exit_code = 1
