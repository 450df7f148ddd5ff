"""The settings of the networks: params.yaml has a section per family, and `model.name` selects one.

`ModelSettings.architecture` takes sizes that are null in params.yaml from the preset, so that a stored model records
every size. A network is built from its `Architecture` record only.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

from seqloom.settings import Faults, Settings, check

# Bounds beyond any model in use, so that a typing error is reported before it takes all memory.
_Width = Annotated[int, Field(ge=1, le=65_536)]
_Layers = Annotated[int, Field(ge=1, le=512)]
Preset = Literal["tiny", "small", "base", "big"]
Family = Literal["lstm", "attention_lstm", "transformer", "pretrained"]
Cell = Literal["lstm", "gru"]  # lstm: Hochreiter and Schmidhuber 1997; gru: Cho et al. 2014
Score = Literal["additive", "dot", "general"]  # additive: Bahdanau et al. 2015; dot, general: Luong et al. 2015
Side = Literal["source", "target"]
SIDES: tuple[Side, Side] = ("source", "target")
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")
Ties = Literal["all", "target", "none"]  # all: source, target and output share a table; target: target and output


class _Architecture(Settings):
    dropout: Annotated[float, Field(ge=0, lt=1)]
    tied_embeddings: Ties


class RecurrentArchitecture(_Architecture):
    """The sizes and options that all recurrent networks have."""

    embedding: _Width  # width of the embeddings
    hidden: _Width  # width of the decoder's state; each direction of a bidirectional encoder has half of it
    cell: Cell
    bidirectional: bool  # the encoder reads in both directions, and a bridge combines their states

    @check
    def _halves(self) -> Faults:
        if self.bidirectional and self.hidden % 2:
            yield "hidden", f"is {self.hidden}, but must be even: each direction of the encoder has half of it"


class LstmArchitecture(RecurrentArchitecture):
    """An encoder-decoder without attention (Sutskever et al. 2014)."""

    name: Literal["lstm"]
    layers: _Layers  # of the encoder and of the decoder; each encoder layer initialises its decoder layer
    reverse_source: bool  # the source is read backwards (Sutskever et al. 2014, section 3.3)


class AttentionLstmArchitecture(RecurrentArchitecture):
    """A recurrent encoder-decoder with attention (Bahdanau et al. 2015, Luong et al. 2015)."""

    name: Literal["attention_lstm"]
    encoder_layers: _Layers
    decoder_layers: _Layers
    attention: Score
    input_feeding: bool  # the attentional vector is an input of the next step (Luong et al. 2015, section 3.3)


class TransformerArchitecture(_Architecture):
    """A Transformer (Vaswani et al. 2017)."""

    name: Literal["transformer"]
    width: _Width  # d_model
    feed_forward: _Width  # d_ff
    heads: _Layers
    encoder_layers: _Layers
    decoder_layers: _Layers
    norm_order: Literal["pre", "post"]  # pre: Xiong et al. 2020; post: Vaswani et al. 2017
    norm: Literal["layer_norm", "rms_norm"]  # layer_norm: Ba et al. 2016; rms_norm: Zhang and Sennrich 2019
    positions: Literal["sinusoidal", "learned", "rotary"]  # rotary: Su et al. 2021
    activation: Literal["relu", "gelu", "swiglu"]  # gelu: Hendrycks and Gimpel 2016; swiglu: Shazeer 2020

    @check
    def _divides(self) -> Faults:
        if self.width % 2:
            yield "width", f"is {self.width}, but must be even: sinusoidal positions come in pairs"
        if self.width % self.heads:
            yield "heads", f"width ({self.width}) is not divisible by heads ({self.heads})"
        elif self.positions == "rotary" and self.width // self.heads % 2:
            yield "heads", f"width / heads ({self.width // self.heads}) must be even: rotary positions rotate pairs"


class PretrainedArchitecture(Settings):
    """A Hugging Face encoder-decoder. Its own configuration file, stored beside it, holds all other settings."""

    name: Literal["pretrained"]
    dropout: Annotated[float, Field(ge=0, lt=1)]


Architecture = Annotated[
    LstmArchitecture | AttentionLstmArchitecture | TransformerArchitecture | PretrainedArchitecture,
    Field(discriminator="name"),
]
ARCHITECTURE: TypeAdapter[Architecture] = TypeAdapter(Architecture)

LSTM_PRESETS: dict[Preset, dict[str, int]] = {
    "tiny": {"embedding": 128, "hidden": 256, "layers": 1},
    "small": {"embedding": 256, "hidden": 512, "layers": 1},
    "base": {"embedding": 512, "hidden": 1024, "layers": 2},
    "big": {"embedding": 1000, "hidden": 1000, "layers": 4},  # Sutskever et al. 2014, section 3.4
}
ATTENTION_LSTM_PRESETS: dict[Preset, dict[str, int]] = {
    "tiny": {"embedding": 128, "hidden": 256, "encoder_layers": 1, "decoder_layers": 1},
    "small": {"embedding": 256, "hidden": 512, "encoder_layers": 1, "decoder_layers": 1},
    "base": {"embedding": 512, "hidden": 1024, "encoder_layers": 2, "decoder_layers": 2},
    "big": {"embedding": 1000, "hidden": 1000, "encoder_layers": 4, "decoder_layers": 4},  # Luong et al. 2015, 4.1
}
TRANSFORMER_PRESETS: dict[Preset, dict[str, int]] = {
    "tiny": {"width": 128, "feed_forward": 256, "heads": 4, "encoder_layers": 4, "decoder_layers": 4},
    "small": {"width": 512, "feed_forward": 1024, "heads": 4, "encoder_layers": 6, "decoder_layers": 6},
    "base": {"width": 512, "feed_forward": 2048, "heads": 8, "encoder_layers": 6, "decoder_layers": 6},
    "big": {"width": 1024, "feed_forward": 4096, "heads": 16, "encoder_layers": 6, "decoder_layers": 6},
}


class LstmSettings(Settings):
    """A recurrent encoder-decoder without attention. A null size is taken from the preset."""

    preset: Preset = "tiny"  # sizes for all settings that are null
    embedding: _Width | None = None  # width of the embeddings; null: from the preset
    hidden: _Width | None = None  # width of the decoder's state; null: from the preset
    layers: _Layers | None = None  # layers of the encoder and of the decoder; null: from the preset
    cell: Cell = "lstm"  # kind of recurrent cell
    bidirectional: bool = True  # the encoder reads in both directions
    reverse_source: bool = False  # reverse the source (Sutskever et al. 2014, section 3.3)


class AttentionLstmSettings(Settings):
    """A recurrent encoder-decoder with attention. A null size is taken from the preset."""

    preset: Preset = "tiny"  # sizes for all settings that are null
    embedding: _Width | None = None  # width of the embeddings; null: from the preset
    hidden: _Width | None = None  # width of the decoder's state; null: from the preset
    encoder_layers: _Layers | None = None  # null: from the preset
    decoder_layers: _Layers | None = None  # null: from the preset
    cell: Cell = "lstm"  # kind of recurrent cell
    bidirectional: bool = True  # the encoder reads in both directions
    attention: Score = "general"  # additive: Bahdanau et al. 2015; dot, general: Luong et al. 2015
    input_feeding: bool = False  # the attentional vector is an input of the next step; slower


class TransformerSettings(Settings):
    """A Transformer. A null size is taken from the preset."""

    preset: Preset = "tiny"  # sizes for all settings that are null
    width: _Width | None = None  # d_model; null: from the preset
    feed_forward: _Width | None = None  # d_ff; null: from the preset
    heads: _Layers | None = None  # attention heads; null: from the preset
    encoder_layers: _Layers | None = None  # null: from the preset
    decoder_layers: _Layers | None = None  # null: from the preset
    norm_order: Literal["pre", "post"] = "pre"  # normalise before or after each sublayer
    norm: Literal["layer_norm", "rms_norm"] = "layer_norm"  # kind of normalisation
    positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal"  # how positions are encoded
    activation: Literal["relu", "gelu", "swiglu"] = "relu"  # activation of the feed-forward layers


def _below_local(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return parts[:2] == ("data", "local") and len(parts) > 2 and ".." not in parts


class PretrainedSettings(Settings):
    """The section model.pretrained: the model that training starts from, fetched by the stage download_pretrained."""

    source: str | None  # a hub id, or a folder below data/local, where DVC detects changes
    revision: str | None  # the commit of a hub id, so that equal params mean the same model
    source_language: str | None  # the tokenizer's code (mBART: en_XX); null if the model has a single direction
    target_language: str | None  # as source_language
    prefix: str  # prepended to every source (T5: "translate English to German: "); may be empty

    @property
    def is_folder(self) -> bool:
        """Whether `source` names a folder below data/local."""
        return self.source is not None and _below_local(self.source)

    @check
    def _found_again(self) -> Faults:
        if self.source is None:
            return
        if self.is_folder:
            if self.revision is not None:
                yield "revision", f"source {self.source!r} is a folder, which has no revision; set revision to null"
        elif not _HUB_ID.fullmatch(self.source) or self.source.startswith("data/"):
            yield "source", f"{self.source!r} is neither a folder below data/local nor a hub id (owner/name)"
        elif self.revision is None or not _COMMIT.fullmatch(self.revision):
            yield (
                "revision",
                f"source {self.source!r} is a hub id, so this must be a commit of 40 hexadecimal digits, because a "
                f"branch or tag can change; got {self.revision!r}",
            )


class EmbeddingSettings(Settings):
    """The section model.embeddings: files of pretrained word vectors that initialise the embeddings, one per side."""

    source: str | None  # a text file of word2vec, GloVe or fastText below data/local, plain or .gz
    target: str | None  # as source
    project: bool  # project vectors of another width; otherwise they are an error
    frozen_steps: Annotated[int, Field(ge=0, le=10**9)]  # updates during which the embeddings are frozen

    @property
    def files(self) -> dict[Side, str]:
        """The files that are set, by side."""
        return {side: path for side in SIDES if (path := getattr(self, side)) is not None}

    @check
    def _watched(self) -> Faults:
        for side, path in self.files.items():
            if not _below_local(path):
                yield side, f"is {path!r}, but must be a path below data/local, where DVC detects changes"

    @check
    def _used(self) -> Faults:
        if self.frozen_steps and not self.files:
            yield "frozen_steps", f"is {self.frozen_steps}, but no file of word vectors is set"


_PRESETS: dict[str, dict[Preset, dict[str, int]]] = {
    "lstm": LSTM_PRESETS,
    "attention_lstm": ATTENTION_LSTM_PRESETS,
    "transformer": TRANSFORMER_PRESETS,
}


Section = LstmSettings | AttentionLstmSettings | TransformerSettings | PretrainedSettings


class ModelSettings(Settings):
    """The kind and size of the network; `name` selects the section that is built."""

    name: Family  # which family is trained; its section has the sizes
    dropout: Annotated[float, Field(ge=0, lt=1)]  # share of activations that are dropped in training
    tied_embeddings: Ties  # all: source, target and output share a table; target: target and output
    lstm: LstmSettings = LstmSettings()
    attention_lstm: AttentionLstmSettings = AttentionLstmSettings()
    transformer: TransformerSettings = TransformerSettings()
    pretrained: PretrainedSettings
    embeddings: EmbeddingSettings

    @property
    def section(self) -> Section:
        """The section that `name` selects."""
        chosen: Section = getattr(self, self.name)
        return chosen

    @property
    def preset(self) -> Preset | None:
        """The preset of the selected section, if it has one."""
        return None if isinstance(self.section, PretrainedSettings) else self.section.preset

    @property
    def architecture(self) -> Architecture:
        """The network that is built, with all sizes."""
        if isinstance(self.section, PretrainedSettings):
            return PretrainedArchitecture(name="pretrained", dropout=self.dropout)
        section = self.section
        sizes = _PRESETS[self.name][section.preset]
        given = {name: getattr(section, name) for name in type(section).model_fields if name != "preset"}
        fields = {name: value for name, value in given.items() if value is not None}
        return ARCHITECTURE.validate_python(
            {"name": self.name, "dropout": self.dropout, "tied_embeddings": self.tied_embeddings, **sizes, **fields}
        )

    def used(self) -> dict[str, Any]:
        """Return the settings as plain data, without the sections of the other families."""
        return self.model_dump(mode="json", exclude=set(get_args(Family)) - {self.name})

    @check
    def _starts_somewhere(self) -> Faults:
        if self.name == "pretrained":
            if self.pretrained.source is None:
                yield "pretrained.source", "name is 'pretrained', so this must be a folder or a hub id"
            for side in self.embeddings.files:
                yield f"embeddings.{side}", "a pretrained model already has embeddings; set this to null"

    @check
    def _can_be_built(self) -> Faults:
        try:
            _ = self.architecture
        except ValidationError as error:
            for fault in error.errors():
                field = ".".join([self.name, *map(str, fault["loc"][1:])])  # loc[0] is the branch of the union
                yield field, fault["msg"].removeprefix("Value error, ")
