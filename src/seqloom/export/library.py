"""The only import of CTranslate2, which is optional (extra `serve`)."""

from importlib import import_module
from typing import Any

from seqloom.errors import ModelError

EXTRA = "pip install 'seqloom[serve]'"


def is_installed() -> bool:
    """Return whether CTranslate2 can be imported."""
    try:
        ctranslate2()
    except ModelError:
        return False
    return True


def ctranslate2() -> Any:
    """Import and return CTranslate2, with its specifications of networks as `ctranslate2.specs`.

    Raises:
        ModelError: the library is not installed; the message says how to install it.
    """
    try:
        import_module("ctranslate2.specs")
        return import_module("ctranslate2")
    except ModuleNotFoundError as error:
        if error.name != "ctranslate2":
            raise  # the library is installed, but one of its own imports is missing
        raise ModelError(f"an exported model needs the library ctranslate2, which is not installed; {EXTRA}") from error
