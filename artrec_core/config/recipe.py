"""The whole recipe."""

from pydantic import Field, model_validator

from artrec_core.config.data import EventSource, Prepare, Rules, Signals, Source, UserSource, is_simulated
from artrec_core.config.model import Encode, Gate, Model, Train
from artrec_core.config.scoring import Score, Strategy
from artrec_core.config.search import Tune, check_heads
from artrec_core.config.sections import Name, Section
from artrec_core.config.store import Publish, Store


class Recipe(Section):
    """All settings of a night."""

    name: Name = Field(description="Name of the recipe.")
    store: Store = Field(description="Where the run writes.")
    sources: list[Source] = Field(min_length=1, description="Sources of artworks.")
    events: list[EventSource] = Field([], description="Sources of user events.")
    users: list[UserSource] = Field([], description="Sources of users' interests and consent.")
    rules: Rules = Field(Rules(), description="Validation.")
    signals: Signals = Field(Signals(), description="What an event counts as.")
    prepare: Prepare = Field(Prepare(), description="The catalogue and its text documents.")
    model: Model = Field(Model(), description="The two towers.")
    train: Train = Field(Train(), description="Training.")
    gate: Gate = Field(Gate(), description="The promotion gate.")
    tune: Tune = Field(Tune(), description="The hyper-parameter search.")
    encode: Encode = Field(Encode(), description="How vectors are computed.")
    strategies: list[Strategy] = Field([Strategy(name="main")], description="Ways to score and rank.")
    score: Score = Field(Score(), description="Scoring.")
    publish: Publish = Field(Publish(), description="What applications read.")

    @property
    def simulated_sources(self) -> list[EventSource]:
        """The sources of events that simulate users."""
        return [source for source in self.events if is_simulated(source)]

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        # A simulated source brings users of its own, under its own name.
        for section, names in (
            ("sources", [source.name for source in self.sources]),
            ("events", [source.name for source in self.events]),
            ("users", [*(source.name for source in self.users), *(source.name for source in self.simulated_sources)]),
            ("strategies", [strategy.name for strategy in self.strategies]),
        ):
            duplicates = sorted({name for name in names if names.count(name) > 1})
            if duplicates:
                raise ValueError(f"{section}: the name {duplicates[0]!r} is used twice")
        if self.publish.strategy not in [strategy.name for strategy in self.strategies]:
            raise ValueError(f"publish.strategy {self.publish.strategy!r} is not the name of a strategy")
        check_heads(self.tune.space, self.model)
        return self
