"""The documents name what there is and nothing else: jobs, tables, commands, loops. Links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import dagster as dg
import pytest

from ops_platform import files
from ops_platform.agent.loops.loop_registry import LoopRegistry
from ops_platform.cli import cli
from ops_platform.definitions import build_defs
from ops_platform.settings import load_settings
from ops_platform_tests import command_lines

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
STANZA = re.compile(r"^(backup|dr)/[^/]+/")
DUTY = re.compile(r"^calendar/.+")


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of all tables below these headings (``## Jobs``) and their subsections, without the titles."""
    text = (DOCS / page).read_text(encoding="utf-8")
    rows: list[list[str]] = []
    inside = 0
    for line in text.splitlines():
        level = len(line) - len(line.lstrip("#"))
        if level and line[level : level + 1] == " ":
            if line == heading:
                inside = level
            elif level <= inside:
                inside = 0
        if inside and line.startswith("|"):
            if line.startswith("|---") and rows:
                rows.pop()  # the line above it
            elif not line.startswith("|---"):
                rows.append([cell.strip() for cell in line.rstrip()[1:-1].split("|")])
    assert rows, f"{page} has no table below {heading}"
    return rows


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def once(found: list[str]) -> set[str]:
    twice = {one for one in found if found.count(one) > 1}
    assert not twice, f"named twice: {sorted(twice)}"
    return set(found)


def first_column(rows: list[list[str]]) -> set[str]:
    return once([names(row[0])[0] for row in rows])


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return build_defs(load_settings({})).get_repository_def()


def test_every_job_is_explained(repository: dg.RepositoryDefinition) -> None:
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    assert first_column(table("automation.md", "## Jobs")) == jobs


def test_every_schedule_is_explained_with_its_times(repository: dg.RepositoryDefinition) -> None:
    rows = table("automation.md", "## Schedules")
    said = {names(row[0])[0]: (names(row[1])[0], set(names(row[3]))) for row in rows}
    assert len(said) == len(rows)
    there = {}
    for one in repository.schedule_defs:
        assert one.default_status is dg.DefaultScheduleStatus.RUNNING, "the document says that all run"
        assert one.execution_timezone == "UTC"
        cron = one.cron_schedule
        there[one.name] = (one.job_name, {cron} if isinstance(cron, str) else set(cron))
    assert said == there


def test_every_sensor_is_explained_with_its_pace(repository: dg.RepositoryDefinition) -> None:
    rows = table("automation.md", "## Sensors")
    said = {names(row[0])[0]: re.findall(r"every (\d+) s ", row[1]) for row in rows}
    assert len(said) == len(rows)
    there = {}
    for one in repository.sensor_defs:
        assert one.default_status is dg.DefaultSensorStatus.RUNNING, "the document says that all run"
        there[one.name] = [str(one.minimum_interval_seconds)]
    assert said == there


def test_every_asset_is_explained_with_its_partitions(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    there = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        parts: dict[type | None, str] = {
            None: "none",
            dg.HourlyPartitionsDefinition: "hours",
            dg.DailyPartitionsDefinition: "days",
        }
        kind = parts[None if node.partitions_def is None else type(node.partitions_def)]
        named = re.sub("^cluster/.*", "cluster/STANZA", key.to_user_string())
        named = DUTY.sub("calendar/DUTY", named)
        there[STANZA.sub(r"\1/STANZA/", named)] = (kind, node.is_materializable)
    rows = table("automation.md", "## Assets")
    said = {names(row[0])[0]: (re.split(r"[ ;]", row[1])[0], not row[1].endswith("external")) for row in rows}
    assert len(said) == len(rows)
    assert said == there


def test_every_check_is_explained_for_its_assets(repository: dg.RepositoryDefinition) -> None:
    there = {
        # Each objective has a check of its own.
        (
            re.sub(r"^objective_\w+", "objective_SERVICE_NAME", key.name),
            DUTY.sub("calendar/DUTY", STANZA.sub(r"\1/STANZA/", key.asset_key.to_user_string())),
        )
        for key in repository.asset_graph.asset_check_keys
    }
    said = [
        (names(row[0])[0], of if "/" in of else f"dr/STANZA/{of}")
        for row in table("automation.md", "## Checks")
        for of in names(row[1])
    ]
    assert once([" of ".join(one) for one in said]) == {" of ".join(one) for one in there}
    assert all(row[3] for row in table("automation.md", "## Checks")), "what to do when it fails"


def migrated(folder: str) -> set[str]:
    """Tables and views that the migrations of a folder leave behind."""
    left: set[str] = set()
    for path in sorted((files.carried("sql") / folder).glob("*.sql")):
        statements = re.findall(
            r"^(CREATE|DROP)\s+(?:OR REPLACE\s+)?(?:UNLOGGED\s+)?(?:MATERIALIZED\s+)?(?:TABLE|VIEW)\s+"
            r"(?:IF (?:NOT )?EXISTS\s+)?([\w.]+)",
            path.read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
        for verb, name in statements:
            (left.add if verb == "CREATE" else left.discard)(name)
    return left


@pytest.mark.parametrize(
    ("heading", "folder"),
    [("## The ops database", "ops"), ("## The schema `ops_platform` of a product database", "product")],
)
def test_every_table_is_explained(heading: str, folder: str) -> None:
    rows = table("tables.md", heading)
    assert first_column(rows) == migrated(folder)
    for row in rows:
        assert len(row) == 5, row
        assert row[1], row
        assert "(view)" in row[0] or (row[2] and row[3]), row
        assert row[4], row


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, bool]]:
    """(words, whether it prints JSON) of each command that does something."""
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from commands(one, (*path, name))
    if not isinstance(command, click.Group) or (path and command.invoke_without_command):
        yield " ".join(path), any("--json" in one.opts for one in command.params)


def test_every_command_is_named_and_says_whether_it_prints_json() -> None:
    rows = table("command-line.md", "## Commands")
    assert len(rows) == len({row[0] for row in rows})
    assert {names(row[0])[0]: len(row) > 2 and row[2] == "yes" for row in rows} == dict(commands(cli))


def test_the_data_map_s_page_lists_the_commands_of_gdpr() -> None:
    text = (DOCS / "gdpr.md").read_text(encoding="utf-8").partition("## ")[0]
    listed = [" ".join(line.split("  ")[0].split()[1:]) for line in text.splitlines() if line[:4] == "ops-"]
    assert once(listed) == {name for name, _ in commands(cli) if name.startswith("gdpr ")}


def test_every_loop_of_the_agent_is_explained() -> None:
    """``S`` stands for a stanza."""
    duties = LoopRegistry(
        load_settings({"OPS_DATABASE_URL": "postgresql:///", "OPS_DAGSTER_URL": "http://d:1"})
    )
    try:
        loops = {re.sub("/.*", "/S", loop.name): loop.every for loop in duties.loops()}
    finally:
        duties.close()
    text = (DOCS / "metrics.md").read_text(encoding="utf-8").partition("### Loops")[2].partition("\n## ")[0]
    seconds = {"s": 1, "minute": 60, "minutes": 60}
    said = {
        name: float(number or 1) * seconds[unit]
        for name, number, unit in re.findall(
            r"^- `([^`]+)`, every (?:(\d+) )?(s|minute|minutes):", text, flags=re.MULTILINE
        )
    }
    assert said == loops


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found: list[str] = []
    for line in re.sub(
        r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    ).splitlines():
        if re.match(r"#+ ", line):
            title = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            found.append(title if title not in found else f"{title}-{found.count(title)}")
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_the_documents_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def test_each_test_that_a_document_names_exists() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    there = set(re.findall(r"^(?:async )?def (test_\w+)", tests, flags=re.MULTILINE))
    there |= {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
    wrong = {
        f"{page.name}: {name}"
        for page in PAGES
        for name in re.findall(r"`(test_\w+)(?:\.py)?`", page.read_text(encoding="utf-8"))
        if name not in there
    }
    assert wrong == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_that_a_document_shows_is_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = [*command_lines.fenced(text), *command_lines.inline(text)]
    assert [f"{line}: {wrong}" for line in shown if (wrong := command_lines.fault(line))] == []


@pytest.mark.parametrize(
    "line", ["bupack full", "backup monthly", "backup full --stanzas s", "slo exclusion remove", "status now"]
)
def test_a_command_that_is_none_is_seen(line: str) -> None:
    text = f"Run `ops-platform {line}`.\n\n```sh\nx=$(ops-platform {line}) && ops-platform status\n```\n"
    (block, status), (sentence,) = command_lines.fenced(text), command_lines.inline(text)
    assert command_lines.fault(block), block
    assert command_lines.fault(sentence), sentence
    assert status == "status"
    assert command_lines.fault(status) is None


def all_commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from all_commands(one, (*path, name))
    if path and (not isinstance(command, click.Group) or command.invoke_without_command):
        yield " ".join(path), command


def test_the_help_of_every_command_has_an_example() -> None:
    missing, wrong = [], []
    for name, command in all_commands(cli):
        examples = (command.help or "").partition("Example")[2]
        lines = list(command_lines.fenced(f"```\n{examples}```\n"))
        if not any(line == name or line.startswith(f"{name} ") for line in lines):
            missing.append(name)
        wrong += [f"{name}: {line}: {found}" for line in lines if (found := command_lines.fault(line))]
    assert (missing, wrong) == ([], [])
