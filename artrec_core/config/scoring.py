"""Strategies, and how every user is scored against every artwork."""

from typing import Literal

from pydantic import Field, model_validator

from artrec_core.config.sections import Name, Section, Share


class Weights(Section):
    """Weights of a strategy's components; each component is calibrated to one scale first."""

    text: float = 0.0
    history: float = 1.0
    collaborative: float = 0.0
    freshness: float = 0.0
    popularity: float = Field(0.0, description="negative: a penalty")


class Filters(Section):
    """Which works a strategy may recommend: those that pass every filter given; what a record does not tell does not pass.

    Filters are applied before the K best are taken. Only somebody who has seen all that they leave gets works beyond them.
    """

    museums: list[str] = Field([], description="names of museums or of sources, in any case")
    licences: list[str] = Field([], description="in any case")
    classifications: list[str] = Field([], description="in any case")
    year_from: int | None = Field(None, description="works made in this year or later, in part at least")
    year_to: int | None = None
    price_from: float | None = Field(None, ge=0)
    price_to: float | None = Field(None, ge=0)
    currency: str | None = Field(None, description="of the prices; needed with a price range")
    has_image: bool = False

    @model_validator(mode="after")
    def _ranges(self) -> "Filters":
        priced = self.price_from is not None or self.price_to is not None
        if priced != (self.currency is not None):
            raise ValueError("price_from and price_to go with `currency`: prices in different ones do not compare")
        for what, low, high in (("year", self.year_from, self.year_to), ("price", self.price_from, self.price_to)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"{what}_from {low:g} is above {what}_to {high:g}, so no work would be left")
        return self


class Block(Section):
    """Works that must not be shown, by their ids, by their creators' names, or listed in a file."""

    artworks: list[str] = Field([], description="artwork ids")
    creators: list[str] = Field([], description="names of creators, in any case: all their works are blocked")
    file: str | None = Field(
        None, description="an artwork id a line, or `creator: <name>`; lines that begin with # are remarks"
    )


class Caps(Section):
    """At most so many works of one kind in a list."""

    creator: int | None = Field(None, ge=1, description="at most so many works of one named creator in a list")
    source: int | None = Field(None, ge=1, description="at most so many works of one source in a list")


class Diversity(Section):
    """Maximal marginal relevance (Carbonell and Goldstein, 1998) over the finalists."""

    mmr_lambda: Share = Field(0.7, description="1: by score alone; 0: as unlike each other as can be")
    by: Literal["item", "text"] = Field("item", description="the vectors that say how alike two works are")


class Exploration(Section):
    """A share of every list for works that people have had little chance to see."""

    share: Share = Field(0.1, description="share of a list's places")
    nights: int | None = Field(14, ge=1, le=60, description="works that came into the catalogue within so many nights")
    max_users: int | None = Field(None, ge=0, description="and works that at most so many people took up")
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> "Exploration":
        if self.nights is None and self.max_users is None:
            raise ValueError("exploration needs `nights` or `max_users`: what makes a work new")
        return self


class Floor(Section):
    """A share of every list that a group of works gets at least."""

    group: str = Field(
        pattern=r"^(source|museum|gender|nationality|movement|culture|classification):.*\S",
        description="such as source:walters or gender:female; gender and nationality are those of the first creator",
    )
    share: Share


class Strategy(Section):
    """A named way to score every pair, and to make lists from the scores."""

    name: Name
    weights: Weights = Weights()
    alignment: Literal["dot", "cosine", "euclidean"] = "dot"
    filters: Filters = Filters()
    block: Block = Field(Block(), description="beside `score.block`, for this strategy")
    caps: Caps = Caps()
    diversity: Diversity | None = None
    exploration: Exploration | None = None
    floors: list[Floor] = Field([], max_length=60, description="exposure floors, the most important first")

    @property
    def reranks(self) -> bool:
        """Whether a list is more than the K best by score."""
        capped = self.caps.creator is not None or self.caps.source is not None
        return capped or self.diversity is not None or self.exploration is not None or bool(self.floors)


class Score(Section):
    """How every person is scored against every artwork."""

    k: int = Field(20, ge=1)
    candidates: int = Field(5, ge=1, description="strategies that re-rank choose the K of a list from so many times K")
    block: Block = Field(Block(), description="works that must appear in no table at all")
    keep_all_pairs: bool = Field(
        False,
        description="also write every pair's score to the lake (`all_pairs`), before filters and with what is seen: about 10 bytes a pair",
    )
    similar_k: int = Field(10, ge=0)
    audience_k: int = Field(10, ge=0)
    popular_k: int = Field(50, ge=1)
    shard_users: int = Field(4096, ge=1, description="people (or works) whose rows are made and written at a time")
    workers: int = Field(
        1, ge=1, description="shards made at a time by Ray tasks, here or on ARTREC_RAY_ADDRESS; 1: in this process"
    )
    memory_mb: int = Field(512, ge=1)
    threads: int | None = Field(None, ge=1, description="of a process; null: all processors, shared among the workers")
