"""register_model: log the results as an MLflow run, register a version, and compare it with the champion.

If run again, the stage finds both by their fingerprint and changes nothing; with an empty store it creates them again,
without training. metrics/registration.json has only what is the same every time: no version, run id, date or verdict.
"""

from pathlib import Path

import seqloom
from seqloom import places
from seqloom.files import sha256_of, write_json
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.stages.registration.description import collect_run, version_tags
from seqloom.stages.registration.judging import settle
from seqloom.stages.registration.results import Results, read_results
from seqloom.tracking.client.names import model_name
from seqloom.tracking.client.store import connect, exclusive
from seqloom.tracking.registry.registration import find_version, register, set_candidate, set_label
from seqloom.tracking.runs.provenance import fingerprint
from seqloom.tracking.runs.training_run import log_run

SERVED = Path(seqloom.__file__).parent / "tracking" / "runs" / "served_model.py"  # a copy of it is part of each version


def run(params: Params, listen: Listener) -> None:
    """Log, register, judge and set the aliases; then write metrics/registration.json.

    Raises:
        RegistryError: a result is missing, or the store or the registry reports an error.
    """
    results = read_results()
    name = model_name(params.task, params.languages.sources, params.languages.targets)
    identity = identify(params, results)
    listen(Progress("register", 0, 4, "steps", "opening the store"))
    store = connect(Path.cwd(), create=True)
    with exclusive(store):
        version = find_version(store, name, identity)
        if version is None:
            listen(Progress("register", 1, 4, "steps", "logging the run and the model"))
            record = collect_run(params, results, identity)
            logged = log_run(store, params.register_.experiment, record)
            listen(Progress("register", 2, 4, "steps", "registering the version"))
            version = register(store, name, logged, version_tags(params, record, results), record.note)
        elif params.register_.label is not None:
            set_label(store, version, params.register_.label)
        set_candidate(store, version)
        listen(Progress("register", 3, 4, "steps", f"judging version {version.version}"))
        judgement = settle(store, version, params, listen)
    standing = "champion" if judgement.champion else "not champion"
    listen(Progress("register", 4, 4, "steps", f"{name} version {version.version}, {standing}: {judgement.reason}"))
    content = {
        "model": name, "fingerprint": identity, results.leading: results.score, "test_sha256": results.test_sha256
    }  # fmt: skip
    write_json(places.REGISTRATION, content)


def identify(params: Params, results: Results) -> str:
    """Return the fingerprint of a version: its model, export, params, scores and MLflow's code to serve it.

    It is the same on every machine. It leaves out experiment and label, workers, unused model families, and the gate
    and guard bounds.
    """
    settings = params.model_dump(mode="json", exclude={"register_", "gate", "guard", "workers"})
    settings |= {"model": params.model.used(), "train": params.train.used()}
    facts = {
        "params": settings,
        "evaluation": results.evaluation,
        "export": results.export,
        "served": sha256_of(SERVED),
    }
    return fingerprint(places.CANDIDATE, facts)
