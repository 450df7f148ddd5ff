"""The files that start a training on several machines: SLURM, Kubeflow's TrainJob, and the work pools of Prefect.

Commands of a cluster are small fakes here, which record how they were called. tests/deploy/test_ray_train.py has Ray.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.training.kubernetes import submit

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "deploy" / "training"
MANIFEST = yaml.safe_load((TRAINING / "kubernetes" / "trainjob.yaml").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
STAGE = ["-m", "seqloom.stages", "train_model"]


# SLURM


@pytest.fixture
def slurm(tmp_path: Path) -> Path:
    """A clone with the scripts, and SLURM's commands as fakes that append their arguments to `calls`."""
    shutil.copytree(TRAINING / "slurm", tmp_path / "deploy" / "training" / "slurm")
    commands = {
        "sbatch": "echo '42;cluster'",
        "squeue": "cat state",
        "scancel": "",
        "scontrol": 'case "$1" in show) printf "node-7\\nnode-8\\n";; esac',
        # Like SLURM's: runs the command, here once, and passes signals on.
        "srun": 'shift; exec "$@"',
        "python": "trap 'echo checkpoint >>calls; exit 1' TERM\nwhile [ -e running ]; do sleep 0.02; done\n"
        "exit ${ENDS:-0}",
    }
    (tmp_path / "bin").mkdir()
    for name, does in commands.items():
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/bash\necho "{name} $*" >>calls\n{does}\n')
        script.chmod(0o755)
    (tmp_path / "state").write_text("RUNNING\n")
    (tmp_path / "calls").touch()
    return tmp_path


def started(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    variables = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SEQLOOM_PYTHON": "python"}
    variables |= {"SEQLOOM_POLL_SECONDS": "0.02", "SLURM_JOB_ID": "42", "SLURM_JOB_NUM_NODES": "2"}
    variables |= {"SLURM_JOB_NODELIST": "node-[7-8]", **environment}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=pipe, stderr=subprocess.STDOUT, text=True)


JOB = ("bash", "deploy/training/slurm/train.sbatch")
SUBMIT = ("sh", "deploy/training/slurm/submit.sh")


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def until_called(folder: Path, name: str) -> None:
    deadline = time.monotonic() + 60
    while not any(call.startswith(name) for call in calls(folder)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("status", [0, 3])
def test_a_slurm_job_starts_a_torchrun_on_every_machine_and_keeps_its_status(slurm: Path, status: int) -> None:
    job = started(slurm, *JOB, ENDS=str(status), SEQLOOM_PROCESSES_PER_MACHINE="4", SEQLOOM_TRAIN_LAUNCHER="again")
    job.communicate(timeout=60)
    assert job.returncode == status
    (python,) = [call.split() for call in calls(slurm) if call.startswith("python")]
    assert python[1:4] == ["-m", "torch.distributed.run", "--nnodes=2"]
    assert {"--nproc-per-node=4", "--rdzv-id=42", "--rdzv-endpoint=node-7:20042"} <= set(python)
    assert python[-3:] == STAGE
    assert (slurm / "scratch" / "logs" / "slurm-42.status").read_text() == f"{status}\n"


def test_a_slurm_job_that_must_go_writes_a_checkpoint_and_is_queued_again(slurm: Path) -> None:
    (slurm / "running").touch()
    job = started(slurm, *JOB)
    until_called(slurm, "python")
    job.send_signal(signal.SIGUSR1)
    heard, _ = job.communicate(timeout=60)
    assert job.returncode == 0, heard
    assert calls(slurm)[-2:] == ["checkpoint", "scontrol requeue 42"]
    assert not (slurm / "scratch" / "logs" / "slurm-42.status").exists()


def test_a_cancelled_slurm_job_writes_a_checkpoint_and_is_not_queued_again(slurm: Path) -> None:
    (slurm / "running").touch()
    job = started(slurm, *JOB)
    until_called(slurm, "python")
    job.terminate()
    job.communicate(timeout=60)
    assert job.returncode == 143
    assert calls(slurm)[-1] == "checkpoint"


@pytest.mark.parametrize("status", [0, 3])
def test_submitting_waits_for_the_job_shows_its_log_and_has_its_status(slurm: Path, status: int) -> None:
    logs = slurm / "scratch" / "logs"
    logs.mkdir(parents=True)
    submitted = started(slurm, *SUBMIT, "--nodes", "4")
    until_called(slurm, "squeue")
    (logs / "slurm-42.log").write_text("train  20/20 steps\n")
    (logs / "slurm-42.status").write_text(f"{status}\n")
    heard, _ = submitted.communicate(timeout=60)
    assert submitted.returncode == status
    assert "train  20/20 steps" in heard
    assert calls(slurm)[0] == "sbatch --parsable --nodes 4 deploy/training/slurm/train.sbatch"


def test_a_job_that_slurm_has_killed_is_an_error(slurm: Path) -> None:
    (slurm / "state").write_text("NODE_FAIL\n")
    submitted = started(slurm, *SUBMIT)
    heard, _ = submitted.communicate(timeout=60)
    assert submitted.returncode == 1
    assert "error: SLURM job 42 ended without a status" in heard


def test_ending_the_stage_cancels_the_job(slurm: Path) -> None:
    submitted = started(slurm, *SUBMIT)
    until_called(slurm, "squeue")
    submitted.terminate()
    submitted.communicate(timeout=60)
    assert submitted.returncode == 143
    assert "scancel 42" in calls(slurm)


# Kubernetes


def strict(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


TEXT, COUNT, LIST = {"type": "string"}, {"type": "integer", "minimum": 1}, {"type": "array"}
ANY: dict[str, Any] = {"type": "object"}
POD = strict(
    serviceAccountName=TEXT, terminationGracePeriodSeconds=COUNT, securityContext=ANY, volumes=LIST,
    containers={"type": "array", "items": strict(name=TEXT, env=LIST, securityContext=ANY, volumeMounts=LIST)},
)  # fmt: skip
# Written from the documentation of Kubeflow Trainer 2.2: the fields that are used here, and no others.
TRAINJOB = strict(
    apiVersion={"const": "trainer.kubeflow.org/v1alpha1"},
    kind={"const": "TrainJob"},
    metadata=strict(generateName=TEXT, namespace=TEXT, labels=ANY),
    spec=strict(
        runtimeRef=strict(apiGroup=TEXT, kind={"enum": ["ClusterTrainingRuntime", "TrainingRuntime"]}, name=TEXT),
        trainer=strict(
            image=TEXT, command=LIST | {"items": TEXT}, numNodes=COUNT, numProcPerNode=COUNT, env=LIST,
            resourcesPerNode=strict(requests=ANY, limits=ANY),
        ),
        runtimePatches={"type": "array", "items": strict(
            manager=TEXT,
            trainingRuntimeSpec=strict(template=strict(spec=strict(replicatedJobs={"type": "array", "items": strict(
                name=TEXT, template=strict(spec=strict(template=strict(spec=POD)))
            )}))),
        )},
    ),
)  # fmt: skip


def pod_of_the_trainjob() -> dict[str, Any]:
    """Return the pod that Kubeflow makes: the runtime's, patched, with the trainer's image and command."""
    (patch,) = MANIFEST["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    spec = node["template"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    trainer = MANIFEST["spec"]["trainer"]
    made = {name: trainer[name] for name in ("image", "command", "env")} | {"resources": trainer["resourcesPerNode"]}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node-0"},
        "spec": {**spec, "containers": [{**container, **made}]},
    }  # fmt: skip


def test_the_trainjob_and_its_pod_are_of_their_schemas() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs the extra [services]")
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(MANIFEST, TRAINJOB)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**MANIFEST, "spec": {**MANIFEST["spec"], "trianer": {}}}, TRAINJOB)
    validate.validate(pod_of_the_trainjob(), "1.31", strict=True)
    for each in yaml.safe_load_all((TRAINING / "kubernetes" / "access.yaml").read_text(encoding="utf-8")):
        validate.validate(each, "1.31", strict=True)


def test_the_pods_of_the_trainjob_are_restricted_and_run_the_stage() -> None:
    pod = pod_of_the_trainjob()["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert container["image"] == COMPOSE["services"]["worker"]["image"]
    assert container["command"][0] == "torchrun"
    assert container["command"][-3:] == STAGE
    assert [volume["name"] for volume in pod["volumes"]] == [mount["name"] for mount in container["volumeMounts"]]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(MANIFEST["spec"]["trainer"]["numProcPerNode"])


class FakeApi(BaseHTTPRequestHandler):
    """The API server, for one TrainJob whose conditions are set by a test."""

    asked: list[str]
    created: list[Any]
    answers: list[tuple[int, Any]]

    def _answer(self) -> None:
        self.asked.append(f"{self.command} {self.path} {self.headers['Authorization']}")
        length = int(self.headers.get("Content-Length", 0))
        if length:
            self.created.append(json.loads(self.rfile.read(length)))
        status, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeApi]]:
    made = type("Api", (FakeApi,), {"asked": [], "created": [], "answers": [(201, {"metadata": {"name": "job-x"}})]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), made)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    (tmp_path / "token").write_text("the-token\n")
    monkeypatch.setattr(submit, "ACCOUNT", tmp_path)
    monkeypatch.setattr(submit, "EVERY", 0.01)
    monkeypatch.setattr(submit, "SILENT_AT_MOST", 3)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT_HTTPS", str(server.server_port))
    monkeypatch.setenv("SEQLOOM_KUBERNETES_SCHEME", "http")
    usual = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, usual)
    server.shutdown()
    thread.join()
    server.server_close()


def job(kind: str) -> Mapping[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": "True", "message": "because"}]}}


JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/seqloom/trainjobs"


@pytest.mark.parametrize(("kind", "status"), [("Complete", 0), ("Failed", 1)])
def test_a_trainjob_is_created_and_waited_for(
    api: type[FakeApi], kind: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers += [(200, {}), (500, {}), (200, job("Suspended")), (200, job(kind))]
    assert submit.main() == status
    assert api.asked[0] == f"POST {JOBS} Bearer the-token"
    assert set(api.asked[1:]) == {f"GET {JOBS}/job-x Bearer the-token"}
    assert len(api.asked) == 5
    assert api.created == [MANIFEST]
    assert f"TrainJob job-x: {kind}: because" in capsys.readouterr().out


def test_a_refused_a_deleted_and_a_forgotten_trainjob_are_errors(
    api: type[FakeApi], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers += [(404, {})]
    assert submit.main() == 1
    api.answers[:] = [(201, {"metadata": {"name": "job-x"}}), (500, {})]
    assert submit.main() == 1
    api.answers[:] = [(403, {"message": "no rights"})]
    assert submit.main() == 1
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert submit.main() == 2
    errors = capsys.readouterr().err
    for expected in (
        "job-x was deleted",
        "API server does not answer",
        "no rights",
        "not a pod with a service account",
    ):
        assert expected in errors


def test_the_end_of_the_stage_deletes_the_trainjob(api: type[FakeApi], monkeypatch: pytest.MonkeyPatch) -> None:
    def end(here: submit.Api, name: str) -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    monkeypatch.setattr(submit, "wait", end)
    with pytest.raises(SystemExit) as ended:
        submit.main()
    assert ended.value.code == 143
    assert [each.split()[0] for each in api.asked] == ["POST", "DELETE"]


# Prefect: the worker of a pool runs flows with the environment that the pool or the deployment gives.


def test_the_pools_of_prefect_give_flows_the_launcher() -> None:
    from prefect.utilities.templating import apply_values
    from prefect.workers.process import ProcessWorker

    launcher = {"SEQLOOM_TRAIN_LAUNCHER": "sh deploy/training/slurm/submit.sh"}
    process = apply_values(ProcessWorker.get_default_base_job_template()["job_configuration"], {"env": launcher})
    assert process["env"] == launcher

    template = json.loads((ROOT / "deploy" / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "SCALE.md").read_text(encoding="utf-8")
    (variables,) = [line.strip() for line in text.splitlines() if line.strip().startswith('{"env"')]
    given = json.loads(variables)
    pod = apply_values(template["job_configuration"], given)["job_manifest"]["spec"]["template"]["spec"]
    access = (TRAINING / "kubernetes" / "access.yaml").read_text(encoding="utf-8")
    assert pod["serviceAccountName"] in [each["metadata"]["name"] for each in yaml.safe_load_all(access)]
    assert pod["automountServiceAccountToken"] is True
    (container,) = pod["containers"]
    assert container["env"] == given["env"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "0"
    assert (ROOT / given["env"]["SEQLOOM_TRAIN_LAUNCHER"].split()[1]).is_file()
