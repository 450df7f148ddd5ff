"""The names under which this room files things in MLflow, for those who look for them. It imports nothing."""

FINGERPRINT = "seqloom.fingerprint"  # tag of runs, logged models and versions
VERDICT = "seqloom.verdict"  # tag of versions: why it is champion, or is not
CANDIDATE, CHAMPION = "candidate", "champion"  # aliases
ARTIFACT = "model"  # the model folder among a logged model's artifacts


def model_name(source: str, target: str) -> str:
    """The registered model of a direction."""
    return f"seqloom-{source}-{target}"
