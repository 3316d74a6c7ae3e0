"""What a build of ops_platform does beside pyproject.toml, where all its metadata are.

``sql/``, ``dashboards/``, ``dagster.yaml`` and ``workspace.yaml`` stay at the top of the
repository, where people look for them; the wheel carries copies below ``ops_platform/_data``
(``ops_platform.files`` finds whichever is there).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
CARRIED = ("sql", "dashboards", "dagster.yaml", "workspace.yaml")


class BuildWithData(build_py):
    """build_py that also copies the top-level data files into the package."""

    def run(self) -> None:
        """Build the package, then copy the data beside it."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "ops_platform" / "_data"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in CARRIED:
            source = HERE / name
            if source.is_dir():
                shutil.copytree(source, target / name)
            else:
                shutil.copy2(source, target / name)


setup(cmdclass={"build_py": BuildWithData})
