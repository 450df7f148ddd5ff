"""The model that recognises languages, py3langid's, which is part of its package."""

from functools import cache
from typing import Any


@cache
def recogniser() -> Any:
    """Return py3langid's identifier of all its languages, loaded once, because it takes 70 MB; do not change it.

    Raises:
        ImportError: py3langid is not installed.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def probabilities_among(languages: list[str]) -> Any:
    """Return an identifier of some languages, which shares the model and gives probabilities."""
    from py3langid.langid import LanguageIdentifier

    whole = recogniser()
    parts = (whole.nb_ptc, whole.nb_pc, whole.nb_classes, whole.tk_nextmove, whole.tk_output)
    identifier = LanguageIdentifier(*parts, norm_probs=True, tk_row=whole.tk_row)
    identifier.set_languages(languages)
    return identifier
