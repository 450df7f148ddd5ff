"""Runs a stage: `python -m seqloom.stages NAME`.

The stage's module is imported inside `run_stage`, which handles Ctrl-C: importing torch and MLflow takes seconds.
"""

import sys
from importlib import import_module
from pathlib import Path

from seqloom.collector import importing
from seqloom.params import Params
from seqloom.progress import Listener
from seqloom.stages.console import run_stage

SWITCHES = {"train_model": ("--profile",)}
STAGES = sorted(path.stem for path in Path(__file__).parent.glob("*_*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> None:
    """Run the stage named by the first argument."""
    name, *switches = arguments or [""]
    if name not in STAGES:
        sys.exit(f"error: {name!r} is not a stage; valid are {', '.join(STAGES)}")
    if odd := [switch for switch in switches if switch not in SWITCHES.get(name, ())]:
        valid = ", ".join(SWITCHES.get(name, ())) or "none"
        sys.exit(f"error: {odd[0]!r} is not a switch of {name}; valid: {valid}")

    def run(params: Params, listen: Listener) -> None:
        given = {switch.removeprefix("--"): True for switch in switches}
        with importing():
            stage = import_module(f"seqloom.stages.{name}")
        stage.run(params, listen, **given)

    run_stage(name, run)


if __name__ == "__main__":
    main(sys.argv[1:])
