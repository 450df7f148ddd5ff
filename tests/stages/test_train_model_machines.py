"""train_model in processes that a launcher starts on one or two machines: the same batches, nearly the same weights.

Equal to the bit are the batches and their order; losses, weights and scores are equal up to rounding. tests/training
checks the engine in several processes, and tests/batching the batches.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from seqloom import places
from seqloom.params import load_params
from seqloom.progress import ignore
from seqloom.stages import train_model
from tests.stages.machines import LOGS, Started, torchrun
from tests.stages.toy_training import WEIGHTS, change_params, start_afresh

pytestmark = [pytest.mark.slow, pytest.mark.drill]

# Not Adam: it turns rounding errors of zero gradients into full steps.
CHANGES: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "tokens_per_batch": 64, "weight_decay": 0.0}
ON_THIS_MACHINE = ["--standalone"]


class Trained(NamedTuple):
    curve: list[dict[str, str]]
    weights: dict[str, torch.Tensor]
    metrics: dict[str, Any]

    def is_like(self, other: "Trained") -> None:
        for mine, theirs in zip(self.curve, other.curve, strict=True):
            assert (mine["step"], mine["epoch"]) == (theirs["step"], theirs["epoch"])
            for name in ("loss", "grad_norm", "valid_loss"):
                assert float(mine[name] or 0) == pytest.approx(float(theirs[name] or 0), rel=1e-4)
        for name, tensor in self.weights.items():
            torch.testing.assert_close(tensor, other.weights[name], atol=1e-5, rtol=0)


def trained() -> Trained:
    rows = list(csv.DictReader(places.TRAINING_PLOT.read_text().splitlines()))
    return Trained(rows, load_file(WEIGHTS), json.loads(places.TRAINING_METRICS.read_text()))


def trained_by_one(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Train in this process, which computes every share of each batch."""
    start_afresh()
    monkeypatch.setenv("WORLD_SIZE", "1")
    train_model.run(load_params(), ignore)
    return trained()


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_of_one_machine_train_as_one(
    toy_project: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    change_params(processes=processes, **CHANGES)
    heard = torchrun(toy_project, [*ON_THIS_MACHINE, f"--nproc-per-node={processes}"]).ended(0)
    several = trained()
    assert f"{processes} processes" in several.metrics["device"]
    assert "processes" not in several.metrics
    assert heard.count("train  20/20 steps") == 2, "the last update and its validation, of the first process alone"
    one = trained_by_one(monkeypatch)
    several.is_like(one)
    assert one.metrics["processes"] == [[0, 1]]
    assert one.metrics["fingerprint"] == several.metrics["fingerprint"]


def test_killed_processes_come_back_from_the_checkpoint(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_params(processes=2, **CHANGES | {"max_steps": 60, "validate_every": 60})
    started = torchrun(toy_project, [*ON_THIS_MACHINE, "--nproc-per-node=2", "--max-restarts=1"])
    until(lambda: any(places.SCRATCH.glob("*/step-*")), started)
    os.kill(started.trainers()[1], signal.SIGKILL)
    heard = started.ended(0)
    assert "steps  going on from a checkpoint" in heard
    assert "lost the connection to another process" in heard or "Signal 9 (SIGKILL)" in heard
    several = trained()
    assert "processes" not in several.metrics, "the number of processes was the same all the time"
    several.is_like(trained_by_one(monkeypatch))


class Hosts(NamedTuple):
    """Two network namespaces, each with one end of a cable."""

    names: tuple[str, str]
    addresses: tuple[str, str] = ("10.231.77.1", "10.231.77.2")

    def start(self, number: int, folder: Path) -> Started:
        """Start one process of two in a namespace."""
        options = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=drill"]
        options += [f"--rdzv-endpoint={self.addresses[0]}:29477", f"--local-addr={self.addresses[number]}"]
        options += [f"--rdzv-conf=is_host={int(number == 0)}"]  # both have the name of this machine
        before = ["ip", "netns", "exec", self.names[number]]
        return torchrun(folder, options, before=before, GLOO_SOCKET_IFNAME=self.names[number])


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need the command ip (Debian: iproute2)")
    made = Hosts((f"sl{os.getpid()}a", f"sl{os.getpid()}b"))

    def ip(*words: str) -> None:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this user may not make network namespaces (CAP_NET_ADMIN): {done.stderr.strip()}")

    try:
        for name in made.names:
            ip("netns", "add", name)
        ip("link", "add", made.names[0], "type", "veth", "peer", "name", made.names[1])
        for name, address in zip(made.names, made.addresses, strict=True):
            ip("link", "set", name, "netns", name)
            ip("-n", name, "address", "add", f"{address}/24", "dev", name)
            for link in ("lo", name):
                ip("-n", name, "link", "set", link, "up")
        yield made
    finally:
        for name in made.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def another_machine(toy_project: Path) -> Path:
    """Return a folder with what a machine needs that does not write."""
    second = toy_project / "another machine"
    for needed in (Path("params.yaml"), places.TOKENS, places.CORPUS / "valid.tsv", places.TOKENIZER):
        (second / needed).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if needed.is_dir() else shutil.copy)(needed, second / needed)
    return second


def test_a_machine_with_other_data_is_named(toy_project: Path, hosts: Hosts) -> None:
    change_params(processes=2, **CHANGES)
    second = another_machine(toy_project)
    ids = second / places.TOKENS / "train" / "source.ids.bin"
    usual = ids.read_bytes()
    ids.write_bytes(usual[2:4] + usual[:2] + usual[4:])
    first, other = hosts.start(0, toy_project), hosts.start(1, second)
    heard = first.ended() + other.ended()
    assert first.returncode
    assert other.returncode
    assert heard.count("data/tokens is not the same as in rank 0; the machines of a run need the same params") == 1
    assert "error: rank 1 on " in heard
    assert "Traceback" not in heard.partition("error: rank 1")[0]
    assert not places.CANDIDATE.exists()


@pytest.mark.parametrize("sharded", [False, True])
def test_two_machines_train_as_one_and_the_second_one_needs_only_the_data(
    toy_project: Path, monkeypatch: pytest.MonkeyPatch, hosts: Hosts, sharded: bool
) -> None:
    change_params(processes=2, sharded=sharded, **CHANGES)
    second = another_machine(toy_project)
    first, other = hosts.start(0, toy_project), hosts.start(1, second)
    assert "train  20/20 steps" in first.ended(0)
    assert "steps" not in other.ended(0)
    written = {path.relative_to(second) for path in second.rglob("*") if path.is_file()}
    assert not {path.parts[0] for path in written} - {"params.yaml", "data", "models", LOGS}
    assert not (second / places.CANDIDATE).exists()
    two = trained()
    two.is_like(trained_by_one(monkeypatch))


def test_a_run_goes_on_when_a_machine_is_lost_and_when_it_is_back(toy_project: Path) -> None:
    change_params(processes=2, **CHANGES | {"max_steps": 10**6, "checkpoint_every": 20, "validate_every": 10**6})
    # A lost machine is noticed after three seconds, and a new one is waited for one second.
    waits = "join_timeout=120,last_call_timeout=1,keep_alive_interval=1"

    def start(*, has_rendezvous: bool) -> Started:
        options = ["--nnodes=1:2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=elastic", "--max-restarts=9"]
        options += ["--rdzv-endpoint=127.0.0.1:29478", "--local-addr=127.0.0.1"]
        options += [f"--rdzv-conf={waits},is_host={int(has_rendezvous)}"]
        return torchrun(toy_project, options)

    stays, goes = start(has_rendezvous=True), start(has_rendezvous=False)
    back = None
    try:
        until(lambda: any(places.SCRATCH.glob("*/step-*")), stays, goes)
        goes.kill()
        until(lambda: "1 process trains from here on, while 2 trained until here" in stays.heard(), stays)
        back = start(has_rendezvous=False)
        again = "2 processes train from here on, while 1 trained until here"
        until(lambda: again in stays.heard() + back.heard(), stays, back)
        stays.send(signal.SIGTERM)
        stays.ended()
    finally:
        for each in (stays, goes, back):
            if each is not None:
                each.kill()
    newest = max(places.SCRATCH.glob("*/step-*"))
    state = json.loads((newest / "state.json").read_text())["state"]
    assert [count for _, count in state["processes"]] == [2, 1, 2]


def together(*started: Started) -> str:
    return "".join(each.heard() for each in started)


def until(is_so: Callable[[], bool], *started: Started) -> None:
    """Wait for something that the processes do."""
    deadline = time.monotonic() + 240
    while not is_so():
        assert time.monotonic() < deadline, together(*started)
        time.sleep(0.02)
