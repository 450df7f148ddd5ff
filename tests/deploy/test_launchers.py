"""deploy/launchers: a RayJob for KubeRay, and Ray inside an allocation of SLURM."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "launchers"
JOB = yaml.safe_load((FOLDER / "rayjob.yaml").read_text(encoding="utf-8"))
CLUSTER = JOB["spec"]["rayClusterSpec"]
PODS = [CLUSTER["headGroupSpec"]["template"], *(group["template"] for group in CLUSTER["workerGroupSpecs"])]
# The fields of ray.io/v1 (KubeRay 1.5.1) that are used here, with their types.
JOB_FIELDS = {
    "entrypoint": str, "shutdownAfterJobFinishes": bool, "ttlSecondsAfterFinished": int, "backoffLimit": int,
    "rayClusterSpec": dict,
}  # fmt: skip
CLUSTER_FIELDS = {
    "rayVersion": str, "authOptions": dict, "enableInTreeAutoscaling": bool, "autoscalerOptions": dict,
    "headGroupSpec": dict, "workerGroupSpecs": list,
}  # fmt: skip
GROUP_FIELDS = {
    "groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int, "rayStartParams": dict, "template": dict,
}  # fmt: skip


def check(record: dict[str, Any], fields: dict[str, type]) -> None:
    assert {name: type(value) for name, value in record.items()} == {name: fields[name] for name in record}


def test_the_job_has_the_fields_of_kuberay() -> None:
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    check(JOB["spec"], JOB_FIELDS)
    check(CLUSTER, CLUSTER_FIELDS)
    for group in (CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]):
        check(group, GROUP_FIELDS)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@pytest.mark.parametrize("pod", PODS)
def test_its_pods_are_of_the_schema_and_unprivileged(pod: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs the extra [services]")
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray", **pod["metadata"]}, "spec": pod["spec"]}
    validate.validate(manifest, "1.31", strict=True)
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_the_cluster_is_of_the_tested_version_and_needs_a_token() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert CLUSTER["rayVersion"] == pinned["ray"]
    assert CLUSTER["authOptions"] == {"mode": "token"}
    environment = {each["name"]: each["value"] for each in PODS[0]["spec"]["containers"][0]["env"]}
    assert environment["SEQLOOM_LAUNCHER"] == "ray"


def test_the_script_starts_ray_on_all_nodes_of_the_allocation(tmp_path: Path) -> None:
    programs = {
        "scontrol": 'printf "node-7\\nnode-8\\n"',
        "srun": 'echo "$*"; echo "$SEQLOOM_LAUNCHER $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN} $RAY_ADDRESS"',
    }
    for name, does in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    allocation = {"SLURM_JOB_ID": "123456", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "8"}
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node-[7-8]", **allocation}
    script = ["sh", str(FOLDER / "ray.sbatch"), "retrain"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    command, variables = done.stdout.splitlines()
    assert command == (
        ".venv/bin/ray symmetric-run --address node-7:23456 --min-nodes 2 --num-cpus 8 --include-dashboard False -- "
        ".venv/bin/python -m pipelines retrain"
    )
    assert variables == "ray token 64 node-7:23456"
