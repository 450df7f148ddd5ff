"""The door of every stage: `python -m seqloom.stages NAME` runs one; without a name params.yaml is checked, no more.

A stage's module is imported behind the door: torch and MLflow take seconds, and Ctrl-C may come in any of them.
"""

import sys
from importlib import import_module
from pathlib import Path

from seqloom.params import Params
from seqloom.progress import Listener
from seqloom.stages.console import run_stage

STAGES = sorted(path.stem for path in Path(__file__).parent.glob("*_*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> None:
    """Run the stage of the first argument."""
    if not arguments:
        run_stage("params", lambda params, listen: None)
        return
    name = arguments[0]
    if name not in STAGES:
        sys.exit(f"error: {name!r} is not a stage; valid are {', '.join(STAGES)}")

    def run(params: Params, listen: Listener) -> None:
        import_module(f"seqloom.stages.{name}").run(params, listen)

    run_stage(name, run)


if __name__ == "__main__":
    main(sys.argv[1:])
