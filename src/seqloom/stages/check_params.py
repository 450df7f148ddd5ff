"""check_params: check that this machine has the files, libraries and GPUs of params.yaml. It runs before all stages.

DVC deletes the results of a stage before it runs it, so a wrong setting should fail here, where nothing is lost. Every
other stage depends on data/checked. The content of that file never changes, so no stage runs again because of it.

`run_stage` has already read and validated params.yaml; this stage finds the faults that depend on the machine.
download_pretrained checks that the version in `train.start` exists, which needs the registry.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from seqloom.corpus.source_settings import FilePlace
from seqloom.corpus.sources.file import paths_of
from seqloom.errors import ParamsError, SourceError, TrainingError
from seqloom.files import write_text
from seqloom.huggingface import EXTRA
from seqloom.params import Params
from seqloom.places import CHECKED
from seqloom.progress import Listener


def run(params: Params, listen: Listener) -> None:
    """Check that the files, libraries and GPUs that params.yaml names exist, and write data/checked.

    Raises:
        ParamsError: some do not; the message has a line for each.
    """
    faults = [*_corpora(params), *_pretrained(params), *_vectors(params), *_gpus(params)]
    if faults:
        raise ParamsError("\n".join(f"params.yaml: {fault}" for fault in faults))
    write_text(CHECKED, "params.yaml is valid\n")


def _corpora(params: Params) -> Iterator[str]:
    for name, corpus in {**params.corpora, **params.monolingual}.items():
        if isinstance(corpus, FilePlace):
            try:
                paths_of(name, corpus, corpus.languages(params.languages))
            except SourceError as error:
                yield str(error)


def _pretrained(params: Params) -> Iterator[str]:
    if params.model.name != "pretrained":
        return
    settings = params.model.pretrained
    for library in ["transformers"] if settings.is_folder else ["transformers", "huggingface_hub"]:
        if find_spec(library) is None:
            yield f"model.name: pretrained needs the library {library}, which is not installed; {EXTRA}"
    if settings.is_folder and not Path(str(settings.source)).is_dir():
        yield f"model.pretrained.source: there is no folder {settings.source}; put the model there"


def _vectors(params: Params) -> Iterator[str]:
    for side, file in params.model.embeddings.files.items():
        if not Path(file).is_file():
            yield f"model.embeddings.{side}: there is no file {file}; put the vectors there"


def _gpus(params: Params) -> Iterator[str]:
    settings = params.train
    processes = settings.processes if isinstance(settings.processes, int) else 1
    if settings.device == "cpu" or (settings.device == "auto" and processes == 1):
        return
    from seqloom.training.device import place  # torch takes seconds to import, and only these settings need it

    try:
        place(settings, local_rank=processes - 1, processes=processes)
    except TrainingError as error:
        yield str(error)
