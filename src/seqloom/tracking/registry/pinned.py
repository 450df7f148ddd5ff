"""The model folder of a setting that names a version by number, or a folder below data/local."""

from pathlib import Path

from seqloom.errors import ModelError, RegistryError
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.versions import fetch_model, parse_reference


def pinned_folder(model: str, setting: str) -> Path:
    """Return the model folder that a setting names; `setting` is its dotted name, for messages.

    Raises:
        RegistryError: there is no such version, its files are missing, or the registry cannot be reached.
        ModelError: there is no such folder.
    """
    if not model.startswith("models:/"):
        if not Path(model).is_dir():
            raise ModelError(f"{setting}: there is no folder {model}; put the model there")
        return Path(model)
    try:
        return fetch_model(connect(Path.cwd(), create=False), parse_reference(model))
    except RegistryError as error:
        raise RegistryError(f"{setting}: {error}") from error
