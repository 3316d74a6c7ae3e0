"""Sound backups of many shapes: none is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from ops_platform.backup.stanza.model import Compression
from ops_platform_tests.dr.corpus.lab import Lab
from ops_platform_tests.dr.corpus.twin import Recipe, Twin, recover_onto_next_timeline, together

pytestmark = pytest.mark.full

OF_THE_SOURCE = ("latest", "pitr", "integrity", "performance", "restore_check")


def work(twin: Twin) -> None:
    """Much WAL, the same rows."""
    twin.sql(
        "UPDATE posts SET body = body",
        "UPDATE creators SET handle = handle",
        "CREATE TEMP TABLE gone AS SELECT n FROM generate_series(1, 1000) AS n",
    )


def rewrite(twin: Twin) -> None:
    """Every file of the tables is another one."""
    twin.sql(
        "VACUUM FULL posts",
        "REINDEX TABLE comments",
        "VACUUM FREEZE",
        "CLUSTER large_rows USING large_rows_pkey",
    )


def checksums_off(twin: Twin) -> None:
    twin.program("pg_checksums", "--disable", "--no-sync")


def segments_of(megabytes: int) -> Recipe:
    return Recipe(
        dead=lambda twin: twin.program("pg_resetwal", f"--wal-segsize={megabytes}"),
        settings={"min_wal_size": "160MB", "max_wal_size": "320MB"},
        after=work,
    )


def prepared(twin: Twin) -> None:
    """A transaction that nobody has decided yet survives every recovery."""
    twin.sql("BEGIN; UPDATE posts SET body = body; PREPARE TRANSACTION 'undecided'")


def killed(twin: Twin) -> None:
    """The server recovers from a crash between two sets."""
    twin.cluster.kill()
    twin.cluster.start()


def cancelled(twin: Twin) -> None:
    """Rows of a transaction that was taken back are in the files all the same."""
    twin.sql("BEGIN; INSERT INTO small_1 SELECT n, 'x' FROM generate_series(2, 5000) AS n; ROLLBACK")


def next_timeline(twin: Twin) -> None:
    recover_onto_next_timeline(twin.cluster)


PLAIN = {"encryption": "none", "bundle": False, "compression": Compression("none", None)}

HEALTHY: dict[str, tuple[Recipe, tuple[str, ...]]] = {
    "full": (Recipe(), ("latest", "integrity")),
    "differential": (Recipe(chain=("full", "diff"), between=work), ("latest", "integrity")),
    "incremental": (Recipe(chain=("full", "incr", "incr"), between=work), ("latest",)),
    "all_kinds": (
        Recipe(chain=("full", "diff", "incr"), between=rewrite),
        ("latest", "integrity"),
    ),
    "two_fulls": (Recipe(chain=("full", "full"), between=work), ("integrity",)),
    "no_bundle": (Recipe(stanza={"bundle": False}), ("latest",)),
    "no_encryption": (Recipe(stanza={"encryption": "none"}), ("latest",)),
    "codec_none": (Recipe(stanza={"compression": Compression("none", None)}), ("latest",)),
    "codec_zst": (Recipe(stanza={"compression": Compression("zst", 3)}), ("latest",)),
    "codec_gz": (Recipe(stanza={"compression": Compression("gz", 1)}), ("latest",)),
    "codec_bz2": (Recipe(stanza={"compression": Compression("bz2", 1)}), ("restore_check",)),
    "nothing_but_copies": (Recipe(stanza=PLAIN, chain=("full", "incr"), between=work), ("integrity",)),
    "one_process": (Recipe(stanza={"process_max": 1}), ("latest",)),
    "four_processes": (Recipe(stanza={"process_max": 4}), ("performance",)),
    "idle": (Recipe(beats=4, late=True), ("pitr", "latest")),
    "moment_before_other_work": (Recipe(beats=4, late=True, after=work), ("pitr",)),
    "no_checksums": (Recipe(dead=checksums_off), ("integrity",)),
    "segments_of_1_mb": (segments_of(1), ("latest", "integrity")),
    "segments_of_64_mb": (segments_of(64), ("latest",)),
    "much_wal": (Recipe(after=work, settings={"wal_compression": "on"}), ("latest",)),
    "rewritten_tables": (Recipe(after=rewrite), ("latest",)),
    "logical_wal": (Recipe(settings={"wal_level": "logical"}, after=work), ("latest",)),
    "prepared_transaction": (
        Recipe(settings={"max_prepared_transactions": "5"}, after=prepared),
        ("latest",),
    ),
    "more_connections": (Recipe(settings={"max_connections": "120"}, after=work), ("latest",)),
    "crashed_in_between": (Recipe(chain=("full", "incr"), between=killed), ("latest",)),
    "cancelled_transaction": (Recipe(alive=cancelled, after=cancelled), ("integrity",)),
    "next_timeline_before_the_set": (Recipe(alive=next_timeline), ("latest",)),
    "next_timeline_behind_the_set": (Recipe(after_set=next_timeline, beats=2), ("latest", "integrity")),
}


def test_tablespaces_of_a_living_source(lab: Lab) -> None:
    """The copy's are elsewhere: the place where they were is still in use."""
    spaces = [lab.root / "space", lab.root / "space-of-source"]
    for space in spaces:
        space.mkdir()
        lab.site.cluster.account.own(space)

    def moved(twin: Twin) -> None:
        twin.sql(f"CREATE TABLESPACE apart LOCATION '{spaces[0]}'", "ALTER TABLE posts SET TABLESPACE apart")

    with lab.site.cluster.superuser() as source:
        source.execute(f"CREATE TABLESPACE apart LOCATION '{spaces[1]}'")
    try:
        with lab.backed_up(Recipe(alive=moved)) as (_, ctx), lab.source_untouched():
            there = {path: path.stat().st_mtime_ns for path in spaces[0].rglob("*")}
            outcome = lab.exercise(ctx)
            assert outcome.result == "success", outcome.reason
            assert {path: path.stat().st_mtime_ns for path in spaces[0].rglob("*")} == there
            assert there
    finally:
        with lab.site.cluster.superuser() as source:
            source.execute("DROP TABLESPACE apart")


@pytest.mark.parametrize("scenario", OF_THE_SOURCE)
def test_the_source_itself(lab: Lab, scenario: str) -> None:
    with lab.source_untouched():
        outcome = lab.exercise(lab.site.context, scenario)
    assert outcome.result == "success", outcome.reason


TOGETHER = {
    # What is prepared holds its rows for good, so it comes last.
    "of_the_server": (
        "much_wal",
        "rewritten_tables",
        "logical_wal",
        "more_connections",
        "cancelled_transaction",
        "no_bundle",
        "prepared_transaction",
    ),
    "of_a_slow_host": ("codec_gz", "one_process"),
    "of_a_fast_host": ("codec_zst", "four_processes"),
    "of_the_data_directory": ("no_checksums", "segments_of_64_mb", "no_encryption"),
    "of_a_long_chain": ("two_fulls", "all_kinds"),
    "of_incrementals": ("incremental", "crashed_in_between"),
}
"""Shapes that one backup can have at once, so that it is sound only where each of them is.

What is restored is the newest set: one that others follow (``differential``) has a backup of its own. How
it is stored only one of a group says: codec, bundles and encryption are proved each with the others as usual.
"""
CHAINS = {
    "of_a_long_chain": ("full", "full", "diff", "incr"),
    "of_incrementals": ("full", "incr", "incr"),
}
"""Of groups whose shapes have chains of their own, one that has each of them in it."""
RECIPES = HEALTHY | {
    group: (
        together([HEALTHY[name][0] for name in names], CHAINS.get(group)),
        tuple(dict.fromkeys(scenario for name in names for scenario in HEALTHY[name][1])),
    )
    for group, names in TOGETHER.items()
}


@pytest.fixture(scope="module")
def refused(lab: Lab) -> Callable[[str], dict[str, str | None]]:
    """Back a shape, or a group of them, up and exercise it; the reasons of what did not succeed."""

    def ask(name: str) -> dict[str, str | None]:
        recipe, scenarios = RECIPES[name]
        with lab.backed_up(recipe) as (objects, ctx), lab.source_untouched():
            before = objects.etags()
            outcomes = {scenario: lab.exercise(ctx, scenario) for scenario in scenarios}
            assert objects.etags() == before
        return {name: one.reason for name, one in outcomes.items() if one.result != "success"}

    return functools.cache(ask)


@pytest.mark.parametrize("group", TOGETHER)
def test_are_not_refused_together(refused: Callable[[str], dict[str, str | None]], group: str) -> None:
    assert refused(group) == {}


@pytest.mark.parametrize("name", HEALTHY)
def test_is_not_refused(refused: Callable[[str], dict[str, str | None]], name: str) -> None:
    group = next((group for group, names in TOGETHER.items() if name in names), None)
    # Where a group is refused, each of it is asked alone, to say which of them is the reason.
    if group is None or refused(group):
        assert refused(name) == {}
