"""The settings of score_corpus."""

from typing import Annotated

from pydantic import Field

from seqloom.settings import Faults, PinnedModel, Settings, check


class Threshold(Settings):
    """Which pairs a score leaves out: those below either bound. Without a bound, the score is only written."""

    drop: Annotated[float, Field(ge=0, lt=1)] | None = None  # the share of the pairs with the lowest scores
    least: Annotated[float, Field(ge=0, le=1)] | None = None  # the lowest score that is kept


class ScoreSettings(Settings):
    """Scores of the training pairs by models: see `filtering.scores`. The stage is off if there is no model."""

    # models:/NAME/NUMBER, a registered version of the directions in `languages`, or a model folder below data/local
    forward: PinnedModel | None = None
    backward: PinnedModel | None = None  # the same for the reverse directions; without it, `quality` is one-sided
    # Subtract from each cross-entropy the median of its model, so that models of unequal strength can be compared.
    centred: bool = True
    quality: Threshold = Field(default_factory=Threshold)  # which pairs the models' agreement leaves out
    in_domain: PinnedModel | None = None  # a model of the domain, in the directions of `languages`
    general: PinnedModel | None = None  # a model of all data; in_domain and general need each other
    domain: Threshold = Field(default_factory=Threshold)  # which pairs the contrast of both leaves out

    @property
    def models(self) -> dict[str, str]:
        """The models that are set, by the names of their settings."""
        roles = {name: getattr(self, name) for name in ("forward", "backward", "in_domain", "general")}
        return {name: model for name, model in roles.items() if model is not None}

    @check
    def _both_of_the_domain(self) -> Faults:
        if (self.in_domain is None) != (self.general is None):
            missing = "general" if self.general is None else "in_domain"
            yield missing, "must be set, too: the domain score is the difference of in_domain and general"

    @check
    def _forward_first(self) -> Faults:
        if self.backward is not None and self.forward is None:
            yield "forward", "must be set if backward is"

    @check
    def _bounds_have_scores(self) -> Faults:
        for name, model in (("quality", "forward"), ("domain", "in_domain")):
            bound: Threshold = getattr(self, name)
            if getattr(self, model) is None and (bound.drop is not None or bound.least is not None):
                yield name, f"has a bound, but no model gives that score; set {model}"
