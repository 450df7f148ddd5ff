"""Names of tags, aliases and registered models in MLflow."""

from collections.abc import Sequence

FINGERPRINT = "seqloom.fingerprint"  # tag of runs, logged models and versions
VERDICT = "seqloom.verdict"  # tag of versions: the gate's verdict and its reason
PROMOTED = "promoted: "  # prefix of the verdict of a version that became champion
SPEED = "speed.segments_per_s"  # tag of runs: decoding speed on the test split, measured by the gate
MOVE = "seqloom.move."  # prefix of tags of registered models: the numbered moves of the alias champion
REMOVED = "seqloom.removed"  # tag of logged models and versions: when `seqloom gc` removed their files
SERVED = "seqloom.served"  # tag of versions: when a server last said that it serves this one, and its host
CANDIDATE, CHAMPION = "candidate", "champion"  # aliases
ARTIFACT = "model"  # the artifact of a logged model that holds the model folder


def model_name(task: str, sources: Sequence[str], targets: Sequence[str]) -> str:
    """Return the name of the registered model for a task and its languages, which needs no quoting in a `models:/` URI.

    Translation gives `seqloom-en-de` for one direction and `seqloom-en-to-de-fr-es` for several. Other tasks are part
    of the name: `seqloom-summarization-en`, or `seqloom-summarization-en-de` if source and target languages differ.
    """
    named = [] if task == "translation" else [task]
    if len(sources) > 1 or len(targets) > 1:
        languages = [*sources, "to", *targets]
    else:
        languages = list(dict.fromkeys((*sources, *targets)))
    return "-".join(["seqloom", *named, *languages])
