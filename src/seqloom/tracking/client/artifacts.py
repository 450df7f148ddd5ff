"""Sizes and removal of artifacts, in a folder, behind a server or in an object store.

Nothing but the files of one logged model can be removed: its id is part of its location.
"""

import shutil
from typing import Any

from seqloom.errors import RegistryError
from seqloom.tracking.client.library import artifact_repository_registry
from seqloom.tracking.client.store import Store, local_folder, registry_errors


def bytes_below(store: Store, uri: str) -> int:
    """Return the bytes of all files at an artifact location. Raises `RegistryError`."""
    if (folder := local_folder(store, uri)) is not None:
        return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
    with registry_errors(store):
        repository = _repository(store, uri)
        total, waiting = 0, [""]
        while waiting:
            for entry in repository.list_artifacts(waiting.pop() or None):
                if entry.is_dir:
                    waiting.append(entry.path)
                else:
                    total += entry.file_size or 0
        return total


def remove_model_files(store: Store, model: Any) -> None:
    """Remove the files of a logged model; does nothing if they are gone. The model's record stays.

    Raises:
        RegistryError: the location is not that of one model, or the store refuses.
    """
    uri = str(model.artifact_location)
    if str(model.model_id) not in uri.split("/"):
        raise RegistryError(f"{uri}: is not the folder of model {model.model_id} alone; nothing was removed")
    if (folder := local_folder(store, uri)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    with registry_errors(store):
        _repository(store, uri).delete_artifacts(None)


def _repository(store: Store, uri: str) -> Any:
    return artifact_repository_registry.get_artifact_repository(uri, tracking_uri=store.uri)
