"""Where the files that travel with the package are: SQL, dashboards, default configuration.

In a checkout ``sql/``, ``dashboards/``, ``dagster.yaml`` and ``workspace.yaml`` are at the top
of the repository; in an installed wheel they are in ``ops_platform/_data``.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def carried(name: str) -> Path:
    """Path of a top-level file or folder (``sql``, ``dashboards``, ``dagster.yaml``, ...).

    Raises FileNotFoundError when the installation does not hold it.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        path = root / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is not part of this installation of ops_platform; reinstall the package")


def default_config_dir() -> Path:
    """The demo product's configuration, used when ``OPS_CONFIG_DIR`` is not set."""
    return _PACKAGE / "defaults"
