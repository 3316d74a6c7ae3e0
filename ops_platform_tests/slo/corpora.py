"""Public documents of objectives, and what becomes of each here: the table in docs/slo-documents.md.

``python -m ops_platform_tests.slo.corpora`` writes the table anew.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.slo import importing
from ops_platform.slo.objectives import openslo, prometheus_rules

CORPUS = Path(__file__).parent / "corpus"
DOCUMENT = Path(__file__).parents[2] / "docs" / "slo-documents.md"
BEGIN, END = "<!-- made by ops_platform_tests.slo.corpora -->\n", "<!-- end -->\n"
SOURCES = {
    "openslo": "The specification's repository (OpenSLO/OpenSLO)",
    "go-sdk": "OpenSLO's SDK for Go (OpenSLO/go-sdk)",
    "oslo": "OpenSLO's command line (OpenSLO/oslo)",
    "sloth": "Sloth's examples (slok/sloth)",
    "pyrra": "Pyrra's examples (pyrra-dev/pyrra)",
}


@dataclass(frozen=True)
class Outcome:
    """What becomes of one file."""

    file: Path
    slos: int
    """SLOs in it."""
    prometheus: int
    """Those whose queries are Prometheus'."""
    refused: str | None
    dropped: int = 0
    """Lines of what an import, or a note, says is not read."""

    @property
    def source(self) -> str:
        return self.file.relative_to(CORPUS).parts[0]

    @property
    def name(self) -> str:
        return "/".join(self.file.relative_to(CORPUS).parts[1:])


def files() -> list[Path]:
    return sorted(path for path in CORPUS.rglob("*.*") if path.suffix in (".yaml", ".yml", ".json"))


def outcome(file: Path) -> Outcome:
    """Load a file, after an import where it is another tool's, and make its rules."""
    objects = _objects(file)
    slos = [one for one in objects if one.get("kind", "SLO") in SLO_KINDS]
    count = sum(len(_listed(one)) for one in slos)
    asked = sum(_is_prometheus(one) * len(_listed(one)) for one in slos)
    try:
        dropped = _loaded(file, objects)
    except ConfigurationError as error:
        reason = re.sub(rf"^{re.escape(str(file.parent))}/", "", str(error))
        return Outcome(file, count, asked, re.sub(r"^\S+?:(\d+): ", r"line \1: ", reason))
    return Outcome(file, count, asked, None, dropped)


SLO_KINDS = ("SLO", "PrometheusServiceLevel", "ServiceLevelObjective")


def _objects(file: Path) -> list[dict[str, Any]]:
    return [item.value for document in lined_yaml.load(file) for item in openslo.items(document)]


def _listed(slo: dict[str, Any]) -> list[Any]:
    """List the SLOs of one document: Sloth's hold several."""
    inner = slo.get("spec", slo)
    return list(inner.get("slos", [inner]))


def _is_prometheus(slo: dict[str, Any]) -> bool:
    """Tell whether all of a document's sources are Prometheus; Sloth and Pyrra know no other."""
    if not str(slo.get("apiVersion", "")).startswith("openslo"):
        return True
    kinds = re.findall(r"'(?:type|source)': '(\w+)'", str(slo))
    return all(kind.lower() == "prometheus" for kind in kinds)


def _loaded(file: Path, objects: list[dict[str, Any]]) -> int:
    if all(one.get("apiVersion") == "openslo/v1" for one in objects):
        loaded = openslo.read([file])
        prometheus_rules.render(loaded.objectives)
        return len(loaded.notes)
    imported = importing.convert(file)
    with tempfile.TemporaryDirectory() as directory:
        for name, document in imported.documents.items():
            (Path(directory) / name).write_text(yaml.safe_dump(document), encoding="utf-8")
        prometheus_rules.render(openslo.load_files(Path(directory)))
    return len(imported.dropped)


def table(outcomes: list[Outcome]) -> str:
    """Write the table of every file."""
    parts = []
    for source, title in SOURCES.items():
        rows = [one for one in outcomes if one.source == source]
        working = sum(one.refused is None for one in rows)
        asked = [one for one in rows if one.prometheus]
        works = sum(one.prometheus for one in asked if one.refused is None)
        parts += [
            f"### {title}\n",
            f"{working} of {len(rows)} files work; of the SLOs that ask Prometheus, {works} of "
            f"{sum(one.prometheus for one in asked)}.\n",
            "| file | SLOs | here |\n|---|---|---|",
            *(f"| `{one.name}` | {one.slos} | {_verdict(one)} |" for one in rows),
            "",
        ]
    return "\n".join(parts)


def _verdict(one: Outcome) -> str:
    if one.refused is not None:
        return f"refused, {one.refused}".replace("|", "\\|").replace("{{", "{ {")
    return "works" if not one.dropped else f"works, {one.dropped} lines of what is not read"


def written() -> str:
    """Read the table as it stands in the document."""
    return DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    DOCUMENT.write_text(
        f"{before}{BEGIN}{table([outcome(file) for file in files()])}{END}{rest.partition(END)[2]}",
        encoding="utf-8",
    )
