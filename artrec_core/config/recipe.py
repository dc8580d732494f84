"""The whole recipe."""

from pydantic import Field, model_validator

from artrec_core.config.data import EventSource, Prepare, Rules, Signals, Source, UserSource
from artrec_core.config.model import Encode, Gate, Model, Train
from artrec_core.config.scoring import Score, Strategy
from artrec_core.config.search import Tune, check_heads
from artrec_core.config.sections import Name, Section
from artrec_core.config.store import Publish, Store


class Recipe(Section):
    """Everything a night needs to know."""

    name: Name
    store: Store
    sources: list[Source] = Field(min_length=1)
    events: list[EventSource] = Field([], description="sources of user events")
    users: list[UserSource] = Field([], description="sources of what users say of themselves")
    rules: Rules = Rules()
    signals: Signals = Signals()
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    gate: Gate = Gate()
    tune: Tune = Tune()
    encode: Encode = Encode()
    strategies: list[Strategy] = Field([Strategy(name="main")], description="ways to score and rank")
    score: Score = Score()
    publish: Publish = Publish()

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        # A simulated source of events brings its own people, under its name.
        simulated = [source.name for source in self.events if source.kind == "simulated"]
        for what, names in (
            ("sources", [source.name for source in self.sources]),
            ("events", [source.name for source in self.events]),
            ("users", [*(source.name for source in self.users), *simulated]),
            ("strategies", [strategy.name for strategy in self.strategies]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: the name {twice[0]!r} is given twice")
        if self.publish.strategy not in [strategy.name for strategy in self.strategies]:
            raise ValueError(f"publish.strategy {self.publish.strategy!r} is none of the strategies")
        check_heads(self.tune.space, self.model)
        return self
