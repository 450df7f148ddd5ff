"""The door to Hugging Face's libraries: an extra, imported when it is needed, quiet, and never run from a stranger.

The core works without them. Nothing here reaches the network: whoever loads a model gives a folder, and what fetches
one is the stage download_pretrained.
"""

import os
from importlib import import_module
from typing import Any, Literal

from seqloom import telemetry
from seqloom.errors import ModelError

EXTRA = "pip install 'seqloom[hf]'"

# Read when huggingface_hub is imported. Xet is its second way to fetch files, which keeps stores of its own outside the
# folder that it is given; plain HTTP does not.
_QUIET = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def library(name: Literal["transformers", "huggingface_hub", "sacremoses"]) -> Any:
    """Import a library of the extra `hf`.

    Raises:
        ModelError: it is not installed; the message says how to install it.
    """
    telemetry.switch_off()
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise  # installed and broken, which is something else
        raise ModelError(f"a pretrained model needs the library {name}, which is not installed; {EXTRA}") from error
    if name == "transformers":
        module.logging.set_verbosity_error()
        module.logging.disable_progress_bar()
    return module
