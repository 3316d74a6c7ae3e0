"""The source of the corpus: made, filled with what products have, backed up, copied. Once a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ops_platform import files
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.dr.verification import suite as questions
from ops_platform.local.demo.seed.filling import seed
from ops_platform_tests.backup.site import Site, hasty, take
from ops_platform_tests.dr.corpus.lab import Lab, lab_root
from ops_platform_tests.dr.corpus.twin import make_base, wait
from ops_platform_tests.dr.practice import archive_now, strike

# What a restore must bring back as it was, beyond what the demo product has.
_MORE = (
    "CREATE EXTENSION pg_trgm",
    "CREATE ROLE reporting NOLOGIN",
    "CREATE SEQUENCE rounds AS smallint MAXVALUE 3 CYCLE",
    "SELECT nextval('rounds') FROM generate_series(1, 5)",
    "CREATE UNLOGGED TABLE visits AS SELECT n FROM generate_series(1, 100) AS n",
    "CREATE TABLE large_rows (id integer PRIMARY KEY, body text)",
    "INSERT INTO large_rows SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 60000) AS n",
    "CREATE TABLE notes (id integer PRIMARY KEY, length integer)",
    "INSERT INTO notes VALUES (1, -1)",
    "ALTER TABLE notes ADD CONSTRAINT positive CHECK (length > 0) NOT VALID",
)
_MANY = "CREATE TABLE small_{0} (id integer PRIMARY KEY, word text); INSERT INTO small_{0} VALUES (1, 'one')"


def make_lab(make_site: Callable[..., Site]) -> Lab:
    """With a full, and heartbeats before and behind it in segments of their own."""
    made = make_site(stanza={"production_size_bytes": 1 << 30})
    site = replace(made, context=hasty(made.context))
    owner = site.cluster.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=0.02)
    with site.cluster.superuser("product") as superuser:
        for statement in (*_MORE, *(_MANY.format(number) for number in range(40))):
            superuser.execute(statement)
        superuser.execute("CREATE DATABASE second")
    with site.cluster.superuser("second") as superuser:
        superuser.execute("CREATE TABLE things AS SELECT n FROM generate_series(1, 10) AS n")
    questions.refresh(site.context)
    root = lab_root(site)
    with site.cluster.superuser("product") as superuser:
        row = superuser.execute("SELECT pg_relation_filepath('posts')").fetchone()
    assert row is not None
    lab = Lab(site, root / "base", root, str(row[0]))
    strike(site, 2)
    take(site, "full")
    # A target in time lies clearly behind the set.
    wait(3.1)
    strike(site, 2)
    archive_now(site)
    strike(site, 1)
    archive_now(site)
    strike(site, 1)
    archive_now(site)
    make_base(site.cluster, lab.base)
    strike(site, 1)
    return lab
