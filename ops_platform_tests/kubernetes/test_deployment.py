"""The files of deploy/kubernetes: valid for several versions, confined, and of names that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from ops_platform import files
from ops_platform.kubernetes import monitoring

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "kubernetes"
VERSIONS = ["1.31", "1.34", "1.37"]
MANIFESTS = [one for one in yaml.safe_load_all((DEPLOY / "platform.yaml").read_text(encoding="utf-8")) if one]
VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster-values.yaml").read_text(encoding="utf-8"))
USUAL: dict[str, Any] = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))
LOCATIONS = VALUES["dagster-user-deployments"]["deployments"]


def pods() -> dict[str, dict[str, Any]]:
    """The pods of our own Deployments."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in MANIFESTS
        if one["kind"] == "Deployment"
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_each_manifest_is_one_of_this_version(version: str) -> None:
    made = monitoring.dashboards(
        sorted((files.carried("dashboards") / "grafana" / "dashboards").glob("*.json")), "ops-platform"
    )
    kinds = set()
    for manifest in (*MANIFESTS, *made):
        kubernetes_validate.validate(manifest, version, strict=True)
        kinds.add(manifest["kind"])
    assert kinds >= {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap"}


def test_a_wrong_manifest_is_seen() -> None:
    wrong = {**MANIFESTS[1], "spec": {**MANIFESTS[1]["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", ["ops-platform-agent", "ops-platform-api"])
def test_a_pod_is_confined_and_asked_whether_it_lives(name: str) -> None:
    pod = pods()[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert re.fullmatch(r"IMAGE@sha256:HASH", container["image"])
    assert {"livenessProbe", "startupProbe", "resources"} <= container.keys()
    ports = {port["name"] for port in container["ports"]}
    assert {container[probe]["httpGet"]["port"] for probe in container if probe.endswith("Probe")} <= ports
    writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"state", "tmp"}


def test_the_api_has_no_secret_of_others() -> None:
    secrets = {
        name: {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        for name, pod in pods().items()
    }
    assert secrets["ops-platform-api"].isdisjoint(secrets["ops-platform-agent"])


def test_services_and_policies_choose_pods_that_there_are() -> None:
    labels = [
        one["spec"]["template"]["metadata"]["labels"] for one in MANIFESTS if one["kind"] == "Deployment"
    ]
    chosen = [one["spec"]["selector"] for one in MANIFESTS if one["kind"] == "Service"]
    chosen += [
        one["spec"][key].get("matchLabels", {})
        for one in MANIFESTS
        for key in ("selector", "podSelector")
        if one["kind"] in ("PodDisruptionBudget", "NetworkPolicy") and key in one["spec"]
    ]
    assert len(chosen) >= 6
    assert all(any(choice.items() <= pod.items() for pod in labels) for choice in chosen)


def test_each_variable_is_a_setting() -> None:
    known = "".join((ROOT / "docs" / name).read_text() for name in ("settings.md", "gdpr-api.md", "gdpr.md"))
    known += "".join(path.read_text() for path in (ROOT / "ops_platform" / "settings").glob("*.py"))
    variables = {
        variable["name"]
        for container in (*(pod["containers"][0] for pod in pods().values()), *LOCATIONS)
        for variable in container["env"]
    }
    S3 = re.compile(r"OPS_S3_(EXPORTS|LEDGER|MEDIA)_SECRET_ACCESS_KEY")
    unknown = [
        name
        for name in variables
        if (bare := name.removesuffix("_FILE")) not in known and not S3.fullmatch(bare)
    ]
    assert unknown == []


def test_the_chart_s_values_say_what_dagster_yaml_says() -> None:
    added = VALUES["additionalInstanceConfig"]
    assert added == {name: USUAL[name] for name in added}
    # The chart would write these keys a second time.
    daemon = VALUES["dagsterDaemon"]
    assert not any(daemon[part]["enabled"] for part in ("runCoordinator", "runMonitoring", "runRetries"))
    assert added.keys() == {"run_coordinator", "concurrency", "run_monitoring", "run_retries"}


def test_dagster_reads_the_instance_that_the_chart_writes(tmp_path: Path) -> None:
    instance = {
        **VALUES["additionalInstanceConfig"],
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": {
                "instance_config_map": "dagster-instance",
                "dagster_home": "/opt/dagster",
                "service_account_name": "dagster",
                "load_incluster_config": True,
                "postgres_password_secret": "dagster-postgresql-secret",
            },
        },
        "telemetry": VALUES["telemetry"],
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance), encoding="utf-8")
    read, _ = dagster_instance_config(str(tmp_path))
    assert read["concurrency"] == USUAL["concurrency"]


def test_each_duty_without_a_database_host_is_a_code_location() -> None:
    duties = [
        variable["value"]
        for location in LOCATIONS
        for variable in location["env"]
        if variable["name"] == "OPS_DUTIES"
    ]
    assert duties == ["slo", "gdpr", "housekeeping"]
    assert len({location["name"] for location in LOCATIONS}) == 3
    assert all(location["includeConfigInLaunchedRuns"] == {"enabled": True} for location in LOCATIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_pod_of_a_run_is_one_of_this_version(version: str) -> None:
    given = VALUES["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    location = LOCATIONS[0]
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(
            job_image="IMAGE:VERSION",
            dagster_home="/opt/dagster",
            volumes=location["volumes"],
            volume_mounts=location["volumeMounts"],
            env_config_maps=[one["name"] for one in location["envConfigMaps"]],
        ),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run-1",
        user_defined_k8s_config=UserDefinedDagsterK8sConfig(
            container_config={"security_context": location["securityContext"]},
            pod_spec_config=given["podSpecConfig"],
            job_spec_config=given["jobSpecConfig"],
        ),
    )
    manifest = ApiClient().sanitize_for_serialization(job)
    kubernetes_validate.validate(manifest, version, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert manifest["spec"]["backoffLimit"] == 0


def test_the_image_is_built_from_a_base_with_a_hash_and_runs_as_nobody() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    assert re.findall(r"^ARG (.*)$", text, re.M) == ["BASE"]
    stages = re.findall(r"^FROM (\S+)", text, re.M)
    assert stages == ["${BASE}", "${BASE}"]
    assert "--require-hashes -r requirements-kubernetes.lock" in text
    last = text[text.rindex("FROM ") :]
    assert re.search(r"^USER 10001:10001$", last, re.M)
    # What the package needs to be built is not kept away from it.
    kept = re.findall(r"^!(.*)$", (ROOT / ".containerignore").read_text(encoding="utf-8"), re.M)
    assert all((ROOT / name).exists() for name in kept)
    assert {"sql", "dashboards", "dagster.yaml", "workspace.yaml", "setup.py", "pyproject.toml"} <= set(kept)
    assert dg.__version__.startswith("1.13.")
