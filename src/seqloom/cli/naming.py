"""The model that params.yaml trains, for commands that were given no other. It imports little."""

from pathlib import Path

from seqloom.errors import ParamsError

PARAMS = Path("params.yaml")


def default_model() -> str:
    """The registered name of the model of params.yaml. Raises `ParamsError` where there is no such file."""
    from seqloom.params import load_params
    from seqloom.tracking.names import model_name

    if not PARAMS.exists():
        raise ParamsError("there is no params.yaml here that says which model; name one with --model (see --help)")
    params = load_params(PARAMS)
    return model_name(params.task, params.languages.sources, params.languages.targets)
