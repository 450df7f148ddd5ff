"""The registered model as MLflow runs it: text in, text out, wherever the wheel of seqloom is installed.

MLflow keeps this file itself beside the weights ("models from code"), so nothing is pickled and a version loads as it
was logged. It must therefore stand alone: it imports the installed seqloom, and knows no registry and no run.
"""

import logging
from pathlib import Path
from typing import Any

import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translator

COLUMN = "source"

_logger = logging.getLogger(__name__)


class ServedModel(PythonModel):
    """Translates a list of strings, an array, a series or a data frame; returns a list of strings in the same order."""

    def load_context(self, context: Any) -> None:
        """Load the model folder, on a GPU where there is one."""
        (folder,) = context.artifacts.values()
        self._translator = Translator.load(Path(folder))
        self._warned = False

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[str]:
        """Translate; `params` may name `beam`, `length_penalty` and `language`.

        A model that writes several languages has to be told which one is meant.

        MLflow hands over whatever it was given as a frame of one column, the first.

        Raises:
            ValueError: a value is missing or not a string, or a parameter is out of range.
            SeqloomError: the model does not write `language`, or writes several and none is named.
        """
        texts = self._texts(model_input)
        search = dict(params or {})
        language = search.pop("language", "")
        return self._searching(search).translate(texts, language=language or None)

    def _texts(self, frame: Any) -> list[str]:
        if isinstance(frame, pd.DataFrame):
            name = COLUMN if COLUMN in frame.columns else frame.columns[0]
            if name not in (COLUMN, 0) and not self._warned:
                self._warned = True  # in a frame of several columns MLflow drops all but the first before we see them
                _logger.warning("translating the column %r, the first one; call it %r if that is right", name, COLUMN)
            frame = frame[name]
        texts = list(frame)
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"row {row} is {text!r}; every row must be a string")
        return texts

    def _searching(self, params: dict[str, Any]) -> Translator:
        ours = self._translator
        search = SearchSettings.model_validate(ours.search.model_dump() | params)
        if search == ours.search:
            return ours
        return Translator(ours.model, ours.tokenizer, search, ours.languages, ours.device)


mlflow.models.set_model(ServedModel())
