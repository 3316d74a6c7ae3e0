"""A copy of the repository is damaged: the verification that names it does not pass, the original stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ops_platform.backup.monitoring import file_verdicts
from ops_platform.backup.stanza.context import BackupContext
from ops_platform_tests.dr.corpus.damage import DAMAGES, RepositoryObjects
from ops_platform_tests.dr.corpus.lab import Lab, wrong
from ops_platform_tests.dr.corpus.twin import Recipe, Twin, recover_onto_next_timeline

pytestmark = pytest.mark.full


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(lab: Lab, name: str) -> None:
    damage = DAMAGES[name]
    with lab.copied() as (copy, ctx), lab.source_untouched():
        damage.inflict(copy)
        before = copy.etags()
        outcome = lab.exercise(ctx)
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - {"rpo_within_target", "rto_within_target"} == {damage.caught_by}, outcome
        assert copy.etags() == before


def test_an_undamaged_copy_passes(lab: Lab) -> None:
    with lab.copied() as (_, ctx), lab.source_untouched():
        outcome = lab.exercise(ctx)
        assert outcome.result == "success", outcome.reason


# --- two sets -------------------------------------------------------------------------------------------

Made = tuple[RepositoryObjects, BackupContext]
NEVER_UP = {"rpo_within_target", "rto_within_target"}
INDEX = ("backup.info", "backup.info.copy")


@pytest.fixture(scope="module")
def earlier_index() -> dict[str, bytes]:
    """The repository's index as it was when there was one set."""
    return {}


@pytest.fixture(scope="module")
def two_fulls(lab: Lab, earlier_index: dict[str, bytes]) -> Iterator[Made]:
    """Two fulls of nearly the same: each has a key of its own, and the most of their files the same sizes."""

    def between(twin: Twin) -> None:
        stored = twin.context.config.repository.path.lstrip("/")
        for name in INDEX:
            earlier_index[name] = lab.store.get(f"{stored}/backup/{lab.site.name}/{name}")
        twin.sql("UPDATE small_3 SET word = 'two'")

    with lab.backed_up(Recipe(chain=("full", "full"), between=between)) as made:
        yield made


def _sets(copy: RepositoryObjects) -> list[str]:
    """Folders of the sets, the oldest first."""
    return sorted({key.rpartition("/")[0] for key in copy.matching(r"/backup\.manifest$")})


def _swap_files(copy: RepositoryObjects) -> None:
    """Each pair of the same place and size that differs."""
    older, newer = _sets(copy)
    etags = copy.etags()
    sizes = {key: len(copy.store.get(key)) for key in copy.files()}
    pairs = [
        (key, newer + key.removeprefix(older))
        for key in copy.files()
        if key.startswith(older) and sizes.get(newer + key.removeprefix(older)) == sizes[key]
    ]
    differing = [(one, other) for one, other in pairs if etags[one] != etags[other]]
    assert differing
    for one, other in differing:
        copy.swap(one, other)


def _swap_manifests(copy: RepositoryObjects) -> None:
    older, newer = _sets(copy)
    for name in ("backup.manifest", "backup.manifest.copy"):
        copy.swap(f"{older}/{name}", f"{newer}/{name}")


@pytest.mark.parametrize(
    ("swap", "caught_by"), [(_swap_files, "restored"), (_swap_manifests, "backup_selected")]
)
def test_swapped_files_of_two_sets(
    lab: Lab, two_fulls: Made, swap: Callable[[RepositoryObjects], None], caught_by: str
) -> None:
    with lab.copied(two_fulls) as (copy, ctx), lab.source_untouched():
        swap(copy)
        outcome = lab.exercise(ctx)
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - NEVER_UP == {caught_by}, wrong(outcome)


def test_the_older_of_two_sets_is_damaged(lab: Lab, two_fulls: Made) -> None:
    """The newest is whole, so nothing is lost; what lacks files is named all the same."""
    with lab.copied(two_fulls) as (copy, ctx), lab.source_untouched():
        older, newer = _sets(copy)
        copy.delete(*(key for key in copy.files() if key.startswith(older)))
        outcome = lab.exercise(ctx)
        assert outcome.result == "success", outcome.reason
        assert outcome.backup_label == newer.rpartition("/")[2]
        verdict = file_verdicts.files_present(lab.look(ctx).repository)
        assert verdict.passed
        assert older.rpartition("/")[2] in verdict.summary


def test_the_newer_of_two_sets_is_damaged(lab: Lab, two_fulls: Made) -> None:
    """The older one with all WAL since loses nothing; the check asks for a full."""
    with lab.copied(two_fulls) as (copy, ctx), lab.source_untouched():
        older, newer = _sets(copy)
        copy.delete(next(key for key in copy.files() if key.startswith(newer)))
        outcome = lab.exercise(ctx)
        assert outcome.result == "success", outcome.reason
        assert outcome.backup_label == older.rpartition("/")[2]
        verdict = file_verdicts.files_present(lab.look(ctx).repository)
        assert not verdict.passed
        assert newer.rpartition("/")[2] in verdict.summary


def test_an_index_of_yesterday(lab: Lab, two_fulls: Made, earlier_index: dict[str, bytes]) -> None:
    """It does not know the newest set; from the older one on there is all WAL, so nothing is lost."""
    with lab.copied(two_fulls) as (copy, ctx), lab.source_untouched():
        older, _ = _sets(copy)
        for name, body in earlier_index.items():
            copy.store.put(f"{copy.prefix}/backup/{copy.stanza}/{name}", body)
        outcome = lab.exercise(ctx)
        assert outcome.result == "success", outcome.reason
        assert outcome.backup_label == older.rpartition("/")[2]


# --- the history of a timeline --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promoted(lab: Lab) -> Iterator[Made]:
    """The source was promoted behind the set: a file says where, and without it nobody can follow."""

    def next_timeline(twin: Twin) -> None:
        recover_onto_next_timeline(twin.cluster)

    with lab.backed_up(Recipe(after_set=next_timeline, stanza={"encryption": "none"})) as made:
        yield made


def _rewind(copy: RepositoryObjects, key: str) -> None:
    """The file as it was before the last promotion: its first line alone."""
    first, _, rest = copy.store.get(key).partition(b"\n")
    assert rest.strip()
    copy.store.put(key, first + b"\n")


@pytest.mark.parametrize("act", [RepositoryObjects.delete, RepositoryObjects.zero, _rewind])
def test_a_lost_history_of_a_timeline(
    lab: Lab, promoted: Made, act: Callable[[RepositoryObjects, str], None]
) -> None:
    with lab.copied(promoted) as (copy, ctx), lab.source_untouched():
        for key in copy.matching(r"/00000003\.history"):
            act(copy, key)
        outcome = lab.exercise(ctx)
        assert outcome.result == "failed"
        assert set(wrong(outcome)) - NEVER_UP == {"backup_selected"}, wrong(outcome)
