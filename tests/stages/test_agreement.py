"""All processes of a run must have the same inputs; the connection between them is replaced by their texts here."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from seqloom.errors import CorpusError, TrainingError
from seqloom.params import load_params
from seqloom.stages.training import agreement
from seqloom.stages.training.agreement import load_alike
from seqloom.stages.training.identity import identify
from seqloom.training.device import Placement
from seqloom.training.processes import ALONE, Processes

CPU = Placement(torch.device("cpu"), "fp32")


def hear(monkeypatch: pytest.MonkeyPatch, *texts: Callable[[str], list[str]]) -> None:
    """Replace the exchange of texts, each time by the next function of this process's text."""
    following: Iterator[Callable[[str], list[str]]] = iter(texts)
    monkeypatch.setattr(Processes, "texts", lambda self, text: next(following)(text))
    monkeypatch.setattr(Processes, "wait", lambda self: None)


def test_one_process_needs_no_agreement(toy_project: Path) -> None:
    params = load_params()
    assert load_alike(params, CPU, ALONE)[1] == identify(params, CPU)


def test_a_process_whose_inputs_differ_is_named(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params()
    theirs = identify(params, CPU) | {"data": {"data/tokens": "0"}}
    theirs["train"] = theirs["train"] | {"lr": 0.5}
    hear(monkeypatch, lambda text: [text, ""], lambda text: [json.dumps(theirs)], lambda text: ["", text])
    with pytest.raises(TrainingError) as raised:
        load_alike(params, CPU, Processes(0, 2))
    message = str(raised.value)
    assert message.startswith("rank 0 on ")
    assert "train.lr is 0.004 there, and 0.5 in rank 0" in message
    assert "data/tokens is not the same as in rank 0" in message
    assert "the machines of a run need the same params.yaml, data/tokens" in message


def test_other_processes_end_without_a_message(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hear(monkeypatch, lambda text: ["rank 0 on here: no tokens", ""])
    with pytest.raises(SystemExit) as ended:
        load_alike(load_params(), CPU, Processes(1, 2))
    assert ended.value.code == 1


def test_a_missing_input_of_any_process_is_an_error_of_the_first(
    toy_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [f"rank {rank} on there: data/tokens: is missing" for rank in range(5)]
    hear(monkeypatch, lambda text: ["", *faults])
    with pytest.raises(TrainingError, match=r"rank 2 on there: data/tokens: is missing; and 2 more processes$"):
        load_alike(load_params(), CPU, Processes(0, 6))


def test_only_one_process_of_a_machine_reads_everything(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params()
    whole = identify(params, CPU)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(agreement, "identify", None)
    ids = Path("data/tokens/train/source.ids.bin")
    ids.write_bytes(b"\xff" * ids.stat().st_size)  # not looked at
    hear(monkeypatch, lambda text: [text], lambda text: [json.dumps(whole)], lambda text: [text])
    assert load_alike(params, CPU, Processes(1, 2))[1] == whole
    monkeypatch.setenv("LOCAL_RANK", "0")
    hear(monkeypatch, lambda text: [text])
    with pytest.raises(TrainingError, match="outside the vocabulary"):
        load_alike(params, CPU, Processes(0, 2))
    with pytest.raises(CorpusError, match="outside the vocabulary"):
        load_alike(params, CPU, ALONE)
