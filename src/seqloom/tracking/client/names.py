"""The names under which this room files things in MLflow, for those who look for them. It imports nothing of ours."""

from collections.abc import Sequence

FINGERPRINT = "seqloom.fingerprint"  # tag of runs, logged models and versions
VERDICT = "seqloom.verdict"  # tag of versions: why it is champion, or is not
PROMOTED = "promoted: "  # what the verdict of a version that became champion begins with
SPEED = "speed.segments_per_s"  # tag of runs: segments per second when the gate translated the test split
MOVE = "seqloom.move."  # tags of registered models: the moves of champion, numbered
CANDIDATE, CHAMPION = "candidate", "champion"  # aliases
ARTIFACT = "model"  # the model folder among a logged model's artifacts


def model_name(task: str, sources: Sequence[str], targets: Sequence[str]) -> str:
    """The registered model of a task and its languages, in letters that a `models:/` URI takes as they are.

    A translation of one direction is `seqloom-en-de`, of several `seqloom-en-to-de-fr-es`. Another task is named:
    `seqloom-summarization-en`, and `seqloom-summarization-en-de` where it writes another language than it reads.
    """
    named = [] if task == "translation" else [task]
    if len(sources) > 1 or len(targets) > 1:
        languages = [*sources, "to", *targets]
    else:
        languages = list(dict.fromkeys((*sources, *targets)))
    return "-".join(["seqloom", *named, *languages])
