"""The only import of Hugging Face's libraries, which are optional (extra `hf`).

They are imported when needed, without telemetry or progress bars. Nothing here uses the network: models are loaded
from folders, which the stage download_pretrained fetches.
"""

import os
from importlib import import_module
from typing import Any, Literal

from seqloom.errors import ModelError

EXTRA = "pip install 'seqloom[hf]'"

# huggingface_hub reads these when it is imported. Its Xet backend caches files outside the target folder, so use HTTP.
_QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def library(name: Literal["transformers", "huggingface_hub", "sacremoses"]) -> Any:
    """Import and return a library of the extra `hf`.

    Raises:
        ModelError: the library is not installed; the message says how to install it.
    """
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise  # the library is installed, but one of its own imports is missing
        raise ModelError(f"a pretrained model needs the library {name}, which is not installed; {EXTRA}") from error
    if name == "transformers":
        module.logging.set_verbosity_error()
        module.logging.disable_progress_bar()
    return module
