"""The registered model as MLflow runs it: text in, text out, wherever the wheel of seqloom is installed.

MLflow stores a copy of this file beside the weights ("models from code"), so nothing is pickled and a version loads as
it was logged. The file may import only the installed seqloom, and must not depend on a registry or a run.
"""

import logging
from pathlib import Path
from typing import Any

import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel
from pandas.api.types import is_scalar
from pydantic import ValidationError

from seqloom.decoding.settings import SearchSettings
from seqloom.translation.texts import TextTranslator

COLUMN = "source"
_PARAMS = ("beam", "length_penalty", "language")  # as the signature names them

_logger = logging.getLogger(__name__)


class ServedModel(PythonModel):
    """Translates a list of strings, an array, a series or a data frame; returns a list of strings in the same order."""

    def load_context(self, context: Any) -> None:
        """Load the model folder, on a GPU if there is one; on a CPU, load its export if CTranslate2 is installed."""
        (folder,) = context.artifacts.values()
        self._translator = TextTranslator.load(Path(folder), engine="auto")
        self._warned = False

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[str]:
        """Translate; `params` may name `beam`, `length_penalty` and `language`.

        A model that writes several languages needs `language`.

        MLflow passes any input as a frame of one column, the first. It removes params that the signature does not name
        and logs a warning, so an unknown one is refused only if this method is called directly.

        Raises:
            ValueError: a row is null or not a string, or a parameter is unknown or out of range. The message is one
                line.
            SeqloomError: the model does not write `language`, or writes several and none is named.
        """
        texts = self._texts(model_input)
        search = dict(params or {})
        if unknown := sorted(search.keys() - set(_PARAMS)):
            raise ValueError(f"params: {', '.join(unknown)} is not known; valid are {', '.join(_PARAMS)}")
        language = search.pop("language", "")
        return [found.text for found in self._searching(search).translate(texts, language=language or None)]

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
                found = "null" if is_scalar(text) and pd.isna(text) else repr(text)
                raise ValueError(f"row {row}, counted from 0, is {found}; every row must be a string")
        return texts

    def _searching(self, params: dict[str, Any]) -> TextTranslator:
        ours = self._translator
        try:
            search = SearchSettings.model_validate(ours.search.model_dump() | params)
        except ValidationError as error:
            faults = (
                f"{'.'.join(map(str, each['loc']))} is {each['input']!r}: {each['msg']}" for each in error.errors()
            )
            raise ValueError(f"params: {'; '.join(faults)}") from None
        return ours.with_search(search)


mlflow.models.set_model(ServedModel())
