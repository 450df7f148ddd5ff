"""The manifests are valid for Kubernetes, unprivileged, and consistent with prefect.yaml and compose.yaml."""

import argparse
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from seqloom.cli import serve
from seqloom.serving import metrics, prefect_events
from seqloom.serving.access import KEYS_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
PREFECT = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
TEMPLATE = json.loads((FOLDER / "base-job-template.json").read_text(encoding="utf-8"))
VERSION = "1.31"  # the oldest version with everything that is used here


def manifests() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield pytest.param(manifest, id=f"{path.stem}-{manifest['kind']}")
    yield pytest.param(filled(), id="base-job-template")


def filled() -> dict[str, Any]:
    """Return the job that Prefect would make from the template's defaults."""
    given = {"name": "a-run", "command": ["prefect", "flow-run", "execute"]}
    defaults = {
        name: each["default"] for name, each in TEMPLATE["variables"]["properties"].items() if "default" in each
    }
    values = {**defaults, **given}

    def fill(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: fill(value) for key, value in node.items()}
        if isinstance(node, list):
            return [fill(value) for value in node]
        if isinstance(node, str) and node.startswith("{{ ") and node.endswith(" }}"):
            value = values[node[3:-3]]
            return [{"name": name, "value": each} for name, each in value.items()] if node == "{{ env }}" else value
        return node.replace("{{ name }}", "a-run") if isinstance(node, str) else node

    job: dict[str, Any] = fill(TEMPLATE["job_configuration"]["job_manifest"])
    return job


def pods() -> Iterator[Any]:
    for parameter in manifests():
        (manifest,) = parameter.values
        node = manifest["spec"] if manifest["kind"] in ("Deployment", "Job", "CronJob") else None
        if node is not None:
            node = node.get("jobTemplate", {"spec": node})["spec"]["template"]
            yield pytest.param(node, id=str(parameter.id))


def server() -> dict[str, Any]:
    """Return the manifests of serve.yaml, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((FOLDER / "serve.yaml").read_text(encoding="utf-8"))}


SERVER = server()
FLOWS = [each for each in pods() if each.values[0] != SERVER["Deployment"]["spec"]["template"]]


@pytest.mark.parametrize("manifest", [*manifests()])
def test_it_is_of_the_schema(manifest: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs the extra [services]")
    validate.validate(manifest, VERSION, strict=True)
    with pytest.raises(validate.ValidationError):  # a misspelt key would be ignored
        validate.validate({**manifest, "sepc": {}}, VERSION, strict=True)


@pytest.mark.parametrize("manifest", [*manifests()])
def test_all_of_it_is_in_one_namespace(manifest: dict[str, Any]) -> None:
    named = manifest["metadata"]["name" if manifest["kind"] == "Namespace" else "namespace"]
    assert named == "seqloom"


@pytest.mark.parametrize("pod", [*pods()])
def test_pods_are_as_the_standard_restricted_wants_them(pod: dict[str, Any]) -> None:
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    mounted = [mount["name"] for mount in container["volumeMounts"]]
    assert [volume["name"] for volume in spec["volumes"]] == mounted


@pytest.mark.parametrize("pod", FLOWS)
def test_flows_have_a_gpu_and_the_workspace(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"workspace": "/workspace", "tmp": "/tmp", "shm": "/dev/shm"}


@pytest.mark.parametrize("pod", FLOWS)
def test_names_lead_somewhere_and_secrets_are_only_named(pod: dict[str, Any]) -> None:
    there = {(each.values[0]["kind"], each.values[0]["metadata"].get("name")) for each in manifests()}
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert ("ServiceAccount", spec["serviceAccountName"]) in there
    assert ("PersistentVolumeClaim", spec["volumes"][0]["persistentVolumeClaim"]["claimName"]) in there
    assert container["image"] == COMPOSE["services"]["worker"]["image"]
    config, secret = container["envFrom"]
    assert ("ConfigMap", config["configMapRef"]["name"]) in there
    assert secret == {"secretRef": {"name": "seqloom"}}
    assert ("Secret", "seqloom") not in there  # created by a person; no file of the repository has it


def test_the_server_is_probed_selected_and_scaled_by_names_that_exist() -> None:
    deployment, labels = SERVER["Deployment"], SERVER["Deployment"]["spec"]["template"]["metadata"]["labels"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == COMPOSE["services"]["worker"]["image"]
    (port,) = container["ports"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": port["name"]}
    assert SERVER["Service"]["spec"]["selector"] == labels
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        spec = SERVER[kind]["spec"]
        assert spec.get("selector", spec.get("podSelector"))["matchLabels"] == labels
    assert SERVER["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"port": port["containerPort"]}]
    assert SERVER["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    (metric,) = SERVER["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f'"{metric["pods"]["metric"]["name"]}"' in inspect.getsource(metrics)


def test_the_command_of_the_server_is_valid_and_admits_nobody_without_a_key() -> None:
    (container,) = SERVER["Deployment"]["spec"]["template"]["spec"]["containers"]
    program, command, *words = container["args"]
    assert (program, command) == ("seqloom", serve.NAME)
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    options = parser.parse_args(words)
    assert options.host == "0.0.0.0"
    assert not options.no_keys
    (keys,) = [each for each in container["env"] if each["name"] == KEYS_VARIABLE]
    assert keys["valueFrom"]["secretKeyRef"] == {"name": "seqloom", "key": KEYS_VARIABLE}


def test_the_server_may_connect_to_what_its_variables_name() -> None:
    """Its variables are those of the command: MLflow's server, and for `--events` Prefect's API."""
    (container,) = SERVER["Deployment"]["spec"]["template"]["spec"]["containers"]
    config = next(each.values[0]["data"] for each in manifests() if each.values[0]["kind"] == "ConfigMap")
    given = {each["name"]: each.get("value", "") for each in container["env"]} | config
    named = [urlsplit(given[name]) for name in ("MLFLOW_TRACKING_URI", prefect_events.URL_VARIABLE)]
    wanted = {(url.hostname.split(".")[1], url.port) for url in named if url.hostname}
    (names, *others) = SERVER["NetworkPolicy"]["spec"]["egress"]
    assert {(each["port"], each["protocol"]) for each in names["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert wanted == {
        (place["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for each in others
        for place in each["to"]
        for port in each["ports"]
    }
    secret = next(each["valueFrom"]["secretKeyRef"] for each in container["env"] if "AUTH" in each["name"])
    assert secret == {"name": "seqloom", "key": "PREFECT_API_AUTH_STRING", "optional": True}
    assert prefect_events._authorization({secret["key"]: "me:secret"})


def test_commands_are_flows_and_services_of_this_repository() -> None:
    commands = [pod.values[0]["spec"]["containers"][0]["args"] for pod in FLOWS]
    commands.append(COMPOSE["services"]["worker"]["command"])
    started = [command[3] for command in commands if command[:3] == ["python", "-m", "pipelines"]]
    assert sorted(started) == ["retrain", "schedule", "schedule"]
    for name in started:
        assert (ROOT / "pipelines" / f"{name}.py").is_file()


def test_the_schedule_and_the_pool_are_those_of_prefect_yaml() -> None:
    retrain = next(each for each in PREFECT["deployments"] if each["entrypoint"].endswith(":retrain"))
    cron = next(each.values[0] for each in manifests() if each.values[0]["kind"] == "CronJob")
    assert cron["spec"]["schedule"] == retrain["schedules"][0]["cron"]
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    text = (ROOT / "docs" / "DEPLOYMENT.md").read_text(encoding="utf-8")
    for deployment in PREFECT["deployments"]:
        assert f"work-pool create {deployment['work_pool']['name']} " in text


def test_the_template_uses_every_variable_and_no_other() -> None:
    text = json.dumps(TEMPLATE["job_configuration"])
    used = {part.partition(" }}")[0] for part in text.split("{{ ")[1:]}
    assert used == set(TEMPLATE["variables"]["properties"])
