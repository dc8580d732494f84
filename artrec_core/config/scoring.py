"""Strategies, and how every user is scored against every artwork."""

from typing import Literal

from pydantic import Field, model_validator

from artrec_core.config.sections import Name, Section, Share


class Weights(Section):
    """Weights of a strategy's components. Every component is first calibrated to the same scale."""

    text: float = Field(
        0.0, description="Text vectors: artwork against the user's positive artworks, else stated interests."
    )
    history: float = Field(1.0, description="Artwork vectors against the vectors of the user tower.")
    collaborative: float = Field(0.0, description="Factors of ALS over the positive events.")
    freshness: float = Field(0.0, description="How new the artwork is in the catalogue; it halves every 30 days.")
    popularity: float = Field(
        0.0, description="log(1 + number of users with a positive event). A negative weight is a penalty."
    )


class Filters(Section):
    """Which artworks a strategy may recommend: those that pass all filters. Missing values do not pass.

    Filters apply before the top K is taken. A user who has seen every artwork that passes gets other artworks.
    """

    museums: list[str] = Field([], description="Names of museums or of sources, in any case.")
    licences: list[str] = Field([], description="Licences, in any case.")
    classifications: list[str] = Field([], description="Classifications, in any case.")
    year_from: int | None = Field(None, description="First year; artworks made at least partly in or after it pass.")
    year_to: int | None = Field(None, description="Last year; artworks made at least partly in or before it pass.")
    price_from: float | None = Field(None, ge=0, description="Lowest price, in `currency`.")
    price_to: float | None = Field(None, ge=0, description="Highest price, in `currency`.")
    currency: str | None = Field(None, description="Currency of the prices. Needed with a price range.")
    has_image: bool = Field(False, description="Only artworks with an image.")

    @model_validator(mode="after")
    def _check(self) -> "Filters":
        has_price = self.price_from is not None or self.price_to is not None
        if has_price != (self.currency is not None):
            raise ValueError("price_from and price_to need `currency`, and `currency` needs one of them")
        for what, low, high in (("year", self.year_from, self.year_to), ("price", self.price_from, self.price_to)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"{what}_from {low:g} is above {what}_to {high:g}, so no artwork would pass")
        return self


class Block(Section):
    """Artworks that must not be shown: in no table (`score.block`), or in no list of a strategy (`strategies.block`)."""

    artworks: list[str] = Field([], description="Artwork ids.")
    creators: list[str] = Field([], description="Names of creators, in any case; all their artworks are blocked.")
    file: str | None = Field(
        None,
        description="File with an artwork id or `creator: <name>` on each line. Lines that begin with # are comments.",
    )


class Caps(Section):
    """Maximum number of artworks of one kind in a list."""

    creator: int | None = Field(
        None, ge=1, description="Maximum number of artworks by one named creator in a list; not set: no cap."
    )
    source: int | None = Field(
        None, ge=1, description="Maximum number of artworks of one source in a list; not set: no cap."
    )


class Diversity(Section):
    """Maximal marginal relevance (Carbonell and Goldstein, 1998) over the candidates."""

    mmr_lambda: Share = Field(0.7, description="1: by score only; 0: by dissimilarity only.")
    by: Literal["item", "text"] = Field("item", description="Vectors that measure the similarity of two artworks.")


class Exploration(Section):
    """A share of every list for artworks that few users can know."""

    share: Share = Field(0.1, description="Share of the places of a list.")
    nights: int | None = Field(
        14, ge=1, le=60, description="Artworks are new for this number of nights after they enter the catalogue."
    )
    max_users: int | None = Field(
        None,
        ge=0,
        description="Artworks are also new while at most this number of users has a positive event with them.",
    )
    seed: int = Field(0, description="Random seed.")

    @model_validator(mode="after")
    def _check(self) -> "Exploration":
        if self.nights is None and self.max_users is None:
            raise ValueError("exploration needs `nights` or `max_users`: what makes an artwork new")
        return self


class Floor(Section):
    """An exposure floor: the minimum share of every list for a group of artworks."""

    group: str = Field(
        pattern=r"^(source|museum|gender|nationality|movement|culture|classification):.*\S",
        description="Group of artworks as `<kind>:<name>`, such as `gender:female`. Kinds: source, museum, gender, nationality, movement, culture, classification. Gender and nationality are those of the first creator.",
    )
    share: Share = Field(description="Minimum share of the places of a list.")


class Strategy(Section):
    """A named way to score all pairs and to build lists from the scores."""

    name: Name = Field(description="Name of the strategy in the published tables.")
    weights: Weights = Field(Weights(), description="Weights of the components.")
    alignment: Literal["dot", "cosine", "euclidean"] = Field(
        "dot", description="How vectors are compared within a component."
    )
    filters: Filters = Field(Filters(), description="Which artworks may be recommended.")
    block: Block = Field(Block(), description="Blocked artworks, in addition to `score.block`.")
    caps: Caps = Field(Caps(), description="Maximum number of artworks of one creator or source in a list.")
    diversity: Diversity | None = Field(None, description="Diversity of a list; not set: none.")
    exploration: Exploration | None = Field(None, description="Places for new artworks; not set: none.")
    floors: list[Floor] = Field([], max_length=60, description="Exposure floors, the most important first.")

    @property
    def reranks(self) -> bool:
        """Whether re-ranking constraints change the top K."""
        has_caps = self.caps.creator is not None or self.caps.source is not None
        return has_caps or self.diversity is not None or self.exploration is not None or bool(self.floors)


class Score(Section):
    """How every user is scored against every artwork."""

    k: int = Field(20, ge=1, description="Number of artworks in a list.")
    candidates: int = Field(
        5,
        ge=1,
        description="A strategy with re-ranking constraints chooses its K artworks from the best `candidates` x K.",
    )
    block: Block = Field(Block(), description="Artworks that must appear in no table.")
    keep_all_pairs: bool = Field(
        False,
        description="Also write the score of every pair to the lake table `all_pairs`, before filters and with seen artworks. About 10 bytes per pair.",
    )
    similar_k: int = Field(10, ge=0, description="Number of similar artworks per artwork; 0: none.")
    audience_k: int = Field(10, ge=0, description="Number of users per artwork in its audience; 0: none.")
    popular_k: int = Field(
        50, ge=1, description="Number of popular artworks per segment: overall, a museum or a movement."
    )
    shard_users: int = Field(4096, ge=1, description="Number of users (or artworks) in a shard.")
    workers: int = Field(
        1,
        ge=1,
        description="Number of shards that Ray tasks score at the same time, here or on ARTREC_RAY_ADDRESS; 1: in this process.",
    )
    memory_mb: int = Field(512, ge=1, description="Memory for scoring besides the vectors, in MiB.")
    threads: int | None = Field(
        None, ge=1, description="Threads per process; not set: all processors, shared among the workers."
    )
