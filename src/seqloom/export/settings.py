"""The settings of the export, and the names of precisions and engines."""

from typing import Literal

from seqloom.settings import Settings

Precision = Literal["float32", "int8"]
EXPORTS = "ctranslate2"  # the folder of the exports, in a model folder
TRANSLATIONS = "translations.json"  # of the test split, by precision; next to the exports in models/export
PRECISIONS: tuple[Precision, Precision] = ("float32", "int8")

# auto: the export, if the folder has a valid one, CTranslate2 is installed and the device is the CPU; else torch
Engine = Literal["auto", "torch", "ctranslate2"]


class ExportSettings(Settings):
    """The export of a Transformer to CTranslate2, which translates faster on a CPU."""

    enabled: bool = True  # export the model; only Transformers can be exported
    precision: Precision = "int8"  # the weights that a registered model translates with: int8 is smaller and faster
