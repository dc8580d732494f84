"""What a search for hyper-parameters may choose: the points of a space, the recipe at a point, and what of it the text side depends on."""

import itertools
import math
from typing import Any

import numpy as np

from artrec_core.config import NOT_SEARCHED, Model, Range, Recipe, Scalar, Train
from artrec_core.errors import ConfigError
from artrec_core.lake import digest_of

Values = dict[str, Scalar]
Space = dict[str, Range | list[Scalar]]

# What a recipe without `tune.space` searches: the user tower. The text vectors it stands on are then made once.
USUAL: Space = {
    "train.user_learning_rate": Range(low=5e-4, high=1e-2, log=True),
    "model.dropout": Range(low=0.1, high=0.6),
    "model.id_dropout": Range(low=0.0, high=0.5),
    "train.shuffled": Range(low=0.0, high=0.5),
    "model.layers": [1, 2, 3],
    "model.dim": [32, 64, 128],
}
USUAL_GRID: Space = {"train.user_learning_rate": [1e-3, 3e-3, 1e-2], "model.dropout": [0.2, 0.4, 0.6]}
# Keys that the text side knows nothing of. Any other key, a new one too, is taken to change the text vectors.
OF_USERS = {f"model.{name}" for name in ("dim", "layers", "heads", "dropout", "id_dropout", "max_history")} | {
    f"train.{name}" for name in ("user_epochs", "user_batch", "user_learning_rate", "negatives", "shuffled", "patience")
}
# All that the vectors of a frozen text tower depend on.
OF_FROZEN_TEXT = {f"model.{name}" for name in ("base", "pooling", "max_tokens", "tuning", "precision", "layers_kept")}
# So many digits of a drawn number say enough, and read well in a recipe.
DIGITS = 4
# A draw that came up before is drawn again, so often for each that is wanted.
REDRAWS = 50


def space_of(recipe: Recipe) -> Space:
    """What the recipe's search goes through: `tune.space`, or the usual one."""
    if recipe.tune.space:
        return recipe.tune.space
    if recipe.tune.search == "grid":
        return USUAL_GRID
    dims: list[Scalar] = [dim for dim in (32, 64, 128) if dim % recipe.model.heads == 0]
    return USUAL | {"model.dim": dims or [recipe.model.dim]}


def size_of(space: Space) -> float:
    """How many points a space has; infinity where there is a range."""
    return math.prod(math.inf if isinstance(among, Range) else len(among) for among in space.values())


def grid(space: Space) -> list[Values]:
    """Every combination of the choices, the last key's changing fastest. `ConfigError` where there is a range."""
    ranges = [key for key, among in space.items() if isinstance(among, Range)]
    if ranges:
        raise ConfigError(
            f"a grid is made of choices, but tune.space has a range for {', '.join(ranges)};"
            " give lists, as in [0.1, 0.3], or take tune.search = 'optuna' or 'random'"
        )
    lists = [among for among in space.values() if not isinstance(among, Range)]
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*lists)]


def draws(space: Space, many: int, seed: int) -> list[Values]:
    """So many different points drawn at random, the same for a seed; fewer where the space has fewer."""
    random = np.random.default_rng(seed)
    found: dict[str, Values] = {}
    for _ in range(many * REDRAWS):
        if len(found) == min(many, size_of(space)):
            break
        values = {key: _drawn(among, random) for key, among in space.items()}
        found.setdefault(digest_of(values), values)
    return list(found.values())


def _drawn(among: Range | list[Scalar], random: np.random.Generator) -> Scalar:
    if not isinstance(among, Range):
        return among[int(random.integers(len(among)))]
    low, high = among.low, among.high
    if isinstance(low, int) and isinstance(high, int):
        if not among.log:
            return int(random.integers(low, high + 1))
        ends = math.log(low - 0.5), math.log(high + 0.5)
        return min(max(round(math.exp(random.uniform(*ends))), low), high)
    if among.log:
        return shortened(math.exp(random.uniform(math.log(low), math.log(high))), among)
    return shortened(random.uniform(low, high), among)


def shortened(value: Scalar, among: Range | list[Scalar]) -> Scalar:
    """A number that was drawn from a range with few digits, still within it; all else as it is."""
    if not isinstance(value, float) or not isinstance(among, Range):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), float(among.low)), float(among.high))


def starting_point(recipe: Recipe, space: Space) -> Values | None:
    """The recipe's own values where they lie in the space: what every other point has to beat."""
    values = {key: setting(recipe, key) for key in space}
    inside = all(_lies_in(values[key], among) for key, among in space.items())
    return values if inside else None


def _lies_in(value: Any, among: Range | list[Scalar]) -> bool:
    if not isinstance(among, Range):
        return value in among
    # Neither nothing nor "auto" lies in a range.
    return isinstance(value, int | float) and among.low <= value <= among.high


def setting(recipe: Recipe, key: str) -> Any:
    """The recipe's value of `section.key`."""
    section, _, name = key.partition(".")
    return getattr(getattr(recipe, section), name)


def with_values(recipe: Recipe, values: Values) -> Recipe:
    """The recipe at a point of the space."""
    parts = {name: getattr(recipe, name).model_dump() for name in ("model", "train")}
    for key, value in values.items():
        section, _, name = key.partition(".")
        parts[section][name] = value
    changed = {"model": Model.model_validate(parts["model"]), "train": Train.model_validate(parts["train"])}
    return recipe.model_copy(update=changed)


def text_settings(recipe: Recipe) -> dict[str, Any]:
    """What the text vectors of the recipe depend on, besides the night's texts and histories."""
    every = {
        f"{section}.{name}": value
        for section in ("model", "train")
        for name, value in getattr(recipe, section).model_dump(mode="json").items()
    }
    if recipe.model.tuning == "frozen" or recipe.train.text_epochs == 0:
        return {key: value for key, value in every.items() if key in OF_FROZEN_TEXT}
    # Trained by more workers the text tower is another one, and seeds are the same for all points.
    kept = every.keys() - OF_USERS - (NOT_SEARCHED - {"train.workers", "train.launcher", "train.deepspeed"})
    return {key: every[key] for key in sorted(kept)} | {"train.seed": recipe.train.seed}


def touches_text(recipe: Recipe, space: Space) -> bool:
    """Whether points of the space differ in their text vectors."""
    if space.keys() & {"model.tuning", "train.text_epochs"}:
        return True
    return bool(space.keys() & text_settings(recipe).keys())
