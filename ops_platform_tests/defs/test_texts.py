"""What people read in Dagster's UI: each thing says what it is, whose it is, and what it is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator

import dagster as dg
import pytest

Text = tuple[str, str | None]


def texts(defs: dg.Definitions) -> Iterator[Text]:
    """Each thing's name and description."""
    repository = defs.get_repository_def()
    for job in repository.get_all_jobs():
        if job.name.startswith("__"):
            continue
        yield f"job {job.name}", job.description
        for node in job.graph.nodes:
            # The ops of assets say it on the assets.
            if not job.asset_layer.asset_graph.get_all_asset_keys():
                yield f"op {node.name}", node.definition.description
    for schedule in repository.schedule_defs:
        yield f"schedule {schedule.name}", schedule.description
    for sensor in repository.sensor_defs:
        yield f"sensor {sensor.name}", sensor.description
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        yield f"asset {key.to_user_string()}", graph.get(key).description
    for check in graph.asset_check_keys:
        yield (
            f"check {check.name} of {check.asset_key.to_user_string()}",
            graph.get_check_spec(check).description,
        )


def test_everything_says_what_it_is(defs: dg.Definitions) -> None:
    silent = [name for name, text in texts(defs) if not text or len(text) < 20]
    assert silent == []
    known = dict(texts(defs))
    assert len(known) > 150
    assert {name.split()[0] for name in known} == {"job", "op", "schedule", "sensor", "asset", "check"}


def test_the_texts_are_sentences(defs: dg.Definitions) -> None:
    for name, text in texts(defs):
        assert text is not None
        assert text.endswith("."), f"{name}: no full stop"
        assert not re.search(r"\b[Aa] [aeio]\w", text.replace("a one", "")), f"{name}: {text}"
        assert "`" not in text or text.count("`") % 2 == 0, name


@pytest.mark.parametrize("duty", ["backup", "dr", "slo", "gdpr"])
def test_assets_have_owners_kinds_and_the_group_of_their_duty(defs: dg.Definitions, duty: str) -> None:
    graph = defs.get_repository_def().asset_graph
    nodes = [graph.get(key) for key in graph.get_all_asset_keys() if key.path[0] == duty]
    assert nodes
    for node in nodes:
        assert node.owners, node.key
        assert node.kinds, node.key
        assert node.group_name == duty
        assert node.tags["duty"] == duty


def test_jobs_have_owners(defs: dg.Definitions) -> None:
    jobs = [job for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")]
    assert [job.name for job in jobs if not job.owners or not job.tags.get("duty")] == []


def test_the_lineage_connects_what_rests_on_each_other(defs: dg.Definitions) -> None:
    graph = defs.get_repository_def().asset_graph

    def ancestors(key: str) -> set[str]:
        found = graph.get_ancestor_asset_keys(dg.AssetKey(key.split("/")))
        return {ancestor.to_user_string() for ancestor in found}

    sets = {f"backup/product/{kind}" for kind in ("full", "differential", "incremental", "wal")}
    assert {*sets, "cluster/product"} <= ancestors("dr/product/latest")
    assert not any("ops" in key for key in ancestors("dr/product/latest"))
    assert ancestors("gdpr/erasures") == ancestors("gdpr/exports") == {"gdpr/data_map"}
    assert ancestors("slo/compliance") == {"slo/hourly_counts", "slo/objectives"}
