"""What Dagster sees of the platform's definitions, as plain values: names and structure, no descriptions.

    python -m ops_platform_tests.defs.seen_by_dagster > ops_platform_tests/defs/definitions.json

writes the snapshot anew. Run history, saved links and installed configuration rest on these names: whoever
renames one says in the change what becomes of them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.definition.asset_spec import (
    SYSTEM_METADATA_KEY_AUTO_CREATED_STUB_ASSET,
)
from dagster._core.remote_representation.external_data import RepositorySnap

Seen = dict[str, Any]


def seen(definitions: dg.Definitions) -> Seen:
    """Describe jobs with their ops, assets, checks, schedules, sensors and resources, each by its name."""
    repository = definitions.get_repository_def()
    # As a code server would tell it to the webserver and the daemon.
    snapshot = RepositorySnap.from_def(repository)
    return {
        "jobs": {job.name: _job(job) for job in repository.get_all_jobs()},
        "assets": {
            node.asset_key.to_user_string(): _asset(node)
            for node in snapshot.asset_nodes
            # Those of other code locations, on which ours depend, are not ours.
            if SYSTEM_METADATA_KEY_AUTO_CREATED_STUB_ASSET not in node.metadata
        },
        "checks": {
            f"{check.asset_key.to_user_string()}:{check.name}": {
                "blocking": check.blocking,
                "automation": check.automation_condition is not None,
                "jobs": _shown(check.job_names),
            }
            for check in snapshot.asset_check_nodes or ()
        },
        "schedules": {
            schedule.name: {
                "cron": schedule.cron_schedule,
                "timezone": schedule.execution_timezone,
                "job": schedule.job_name,
                "status": schedule.default_status.value if schedule.default_status else None,
            }
            for schedule in snapshot.schedules
        },
        "sensors": {
            sensor.name: {
                "type": sensor.sensor_type.value if sensor.sensor_type else None,
                "jobs": sorted(sensor.target_dict),
                "seconds": sensor.min_interval,
                "status": sensor.default_status.value if sensor.default_status else None,
            }
            for sensor in snapshot.sensors
        },
        "resources": _shown(repository.get_top_level_resources()),
    }


def _shown(names: Any) -> list[str]:
    """Sort names, less those that Dagster makes for its own use."""
    return sorted(name for name in names if not name.startswith("__"))


def _job(job: dg.JobDefinition) -> Seen:
    structure = job.graph.dependency_structure
    return {
        "ops": {node.name: _op(node, structure) for node in job.graph.nodes},
        "tags": dict(job.tags),
        "run_tags": dict(job.run_tags),
        "config": _config(job.run_config_schema.config_type),
        "executor": job.executor_def.name,
        "partitions": _partitions(job.partitions_def),
    }


def _op(node: Any, structure: Any) -> Seen:
    return {
        "definition": node.definition.name,
        "inputs": {
            name: sorted(
                f"{output.node_name}.{output.output_name}" for output in _upstream(structure, node, name)
            )
            for name in sorted(node.definition.input_dict)
        },
        "outputs": {
            name: {"required": output.is_required, "dynamic": output.is_dynamic}
            for name, output in sorted(node.definition.output_dict.items())
        },
        "resources": sorted(getattr(node.definition, "required_resource_keys", ())),
        "retries": str(node.retry_policy) if node.retry_policy else None,
        "pools": sorted(getattr(node.definition, "pools", ())),
    }


def _upstream(structure: Any, node: Any, name: str) -> list[Any]:
    found = structure.input_to_upstream_outputs_for_node(node.name)
    return [output for handle, outputs in found.items() if handle.input_name == name for output in outputs]


def _config(config_type: Any) -> Any:
    """The fields a launcher can fill in, with their defaults; no descriptions."""
    fields = getattr(config_type, "fields", None)
    if not fields:
        return config_type.given_name or str(config_type.kind.value)
    return {
        name: {
            "required": field.is_required,
            "default": field.default_value_as_json_str if field.default_provided else None,
            "type": _config(field.config_type),
        }
        for name, field in sorted(fields.items())
        if name not in ("execution", "loggers")
    }


def _asset(node: Any) -> Seen:
    return {
        "parents": sorted(edge.parent_asset_key.to_user_string() for edge in node.parent_edges),
        "group": node.group_name,
        "kinds": sorted(
            tag.removeprefix("dagster/kind/") for tag in node.tags or {} if tag.startswith("dagster/kind/")
        ),
        "tags": {
            key: value
            for key, value in sorted((node.tags or {}).items())
            if not key.startswith("dagster/kind/")
        },
        "op": node.op_name,
        "jobs": _shown(node.job_names),
        "partitions": str(node.partitions.get_partitions_definition()) if node.partitions else None,
        "backfill": str(node.backfill_policy) if node.backfill_policy else None,
        "code_version": node.code_version,
        "executable": node.execution_type.value,
        "owners": sorted(node.owners or ()),
        "automation": node.automation_condition is not None,
        "freshness": str(node.freshness_policy) if getattr(node, "freshness_policy", None) else None,
    }


def _partitions(definition: Any) -> str | None:
    return None if definition is None else str(definition)


def rendered() -> str:
    """Write down what Dagster sees of the front door, each name on a line of its own."""
    from ops_platform.definitions import defs

    sections = []
    for section, values in sorted(seen(defs).items()):
        named = values if isinstance(values, dict) else {name: {} for name in values}
        lines = (f"{json.dumps(name)}: {json.dumps(named[name], sort_keys=True)}" for name in sorted(named))
        sections.append(f"{json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(rendered())
