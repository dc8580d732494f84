"""The space of a hyper-parameter search: its points, the recipe at a point, and which settings change the text vectors."""

import itertools
import math
from typing import Any

import numpy as np

from artrec_core.config import UNSEARCHABLE_KEYS, Model, Range, Recipe, Scalar, Train
from artrec_core.errors import ConfigError
from artrec_core.lake import digest_of

# One point: a value for each key (`section.key`) of the space.
Values = dict[str, Scalar]
# For each key, the values that a search may choose.
SearchSpace = dict[str, Range | list[Scalar]]

# Searched without `tune.space`: settings of the user tower only, so that all trials share the same text vectors.
DEFAULT_SPACE: SearchSpace = {
    "train.user_learning_rate": Range(low=5e-4, high=1e-2, log=True),
    "model.dropout": Range(low=0.1, high=0.6),
    "model.id_dropout": Range(low=0.0, high=0.5),
    "train.shuffled": Range(low=0.0, high=0.5),
    "model.layers": [1, 2, 3],
    "model.dim": [32, 64, 128],
}
DEFAULT_GRID: SearchSpace = {"train.user_learning_rate": [1e-3, 3e-3, 1e-2], "model.dropout": [0.2, 0.4, 0.6]}
# Keys that do not change text vectors. Any other key, a new one too, counts as one that changes them.
USER_TOWER_KEYS = {f"model.{name}" for name in ("dim", "layers", "heads", "dropout", "id_dropout", "max_history")} | {
    f"train.{name}" for name in ("user_epochs", "user_batch", "user_learning_rate", "negatives", "shuffled", "patience")
}
# The only keys that change the vectors of a frozen text tower.
FROZEN_TEXT_KEYS = {f"model.{name}" for name in ("base", "pooling", "max_tokens", "tuning", "precision", "layers_kept")}
# Enough precision for a search, and short to read in a recipe.
SIGNIFICANT_DIGITS = 4
# Draws for each requested point: points that were drawn before are drawn again.
DRAWS_PER_POINT = 50


def space_of(recipe: Recipe) -> SearchSpace:
    """The space that the recipe's search covers: `tune.space`, or a default."""
    if recipe.tune.space:
        return recipe.tune.space
    if recipe.tune.search == "grid":
        return DEFAULT_GRID
    dims: list[Scalar] = [dim for dim in (32, 64, 128) if dim % recipe.model.heads == 0]
    return DEFAULT_SPACE | {"model.dim": dims or [recipe.model.dim]}


def count_points(space: SearchSpace) -> float:
    """Number of points in a space; infinity if it has a range."""
    return math.prod(math.inf if isinstance(domain, Range) else len(domain) for domain in space.values())


def grid_points(space: SearchSpace) -> list[Values]:
    """Every combination of the choices; the last key changes fastest. `ConfigError` if the space has a range."""
    ranges = [key for key, domain in space.items() if isinstance(domain, Range)]
    if ranges:
        raise ConfigError(
            f"a grid needs lists of choices, but tune.space has a range for {', '.join(ranges)};"
            " give lists, as in [0.1, 0.3], or set tune.search to 'optuna' or 'random'"
        )
    lists = [domain for domain in space.values() if not isinstance(domain, Range)]
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*lists)]


def random_points(space: SearchSpace, count: int, seed: int) -> list[Values]:
    """Distinct random points, the same for the same seed.

    Parameters
    ----------
    space
        The space to draw from.
    count
        Number of points; the result has fewer if the space has fewer.
    seed
        Seed of the draws.
    """
    random = np.random.default_rng(seed)
    points: dict[str, Values] = {}
    for _ in range(count * DRAWS_PER_POINT):
        if len(points) == min(count, count_points(space)):
            break
        values = {key: _draw_value(domain, random) for key, domain in space.items()}
        points.setdefault(digest_of(values), values)
    return list(points.values())


def _draw_value(domain: Range | list[Scalar], random: np.random.Generator) -> Scalar:
    if not isinstance(domain, Range):
        return domain[int(random.integers(len(domain)))]
    low, high = domain.low, domain.high
    if isinstance(low, int) and isinstance(high, int):
        if not domain.log:
            return int(random.integers(low, high + 1))
        ends = math.log(low - 0.5), math.log(high + 0.5)
        return min(max(round(math.exp(random.uniform(*ends))), low), high)
    if domain.log:
        return shorten(math.exp(random.uniform(math.log(low), math.log(high))), domain)
    return shorten(random.uniform(low, high), domain)


def shorten(value: Scalar, domain: Range | list[Scalar]) -> Scalar:
    """A float from a range with `SIGNIFICANT_DIGITS` digits, still within the range; other values as they are."""
    if not isinstance(value, float) or not isinstance(domain, Range):
        return value
    return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), float(domain.low)), float(domain.high))


def starting_point(recipe: Recipe, space: SearchSpace) -> Values | None:
    """The recipe's own values, which other points have to beat; None if they do not lie in the space."""
    values = {key: setting(recipe, key) for key in space}
    inside = all(_lies_in(values[key], domain) for key, domain in space.items())
    return values if inside else None


def _lies_in(value: Any, domain: Range | list[Scalar]) -> bool:
    if not isinstance(domain, Range):
        return value in domain
    # None and "auto" lie in no range.
    return isinstance(value, int | float) and domain.low <= value <= domain.high


def setting(recipe: Recipe, key: str) -> Any:
    """The recipe's value of `section.key`."""
    section, _, name = key.partition(".")
    return getattr(getattr(recipe, section), name)


def apply_values(recipe: Recipe, values: Values) -> Recipe:
    """The recipe at a point of the space."""
    settings = {name: getattr(recipe, name).model_dump() for name in ("model", "train")}
    for key, value in values.items():
        section, _, name = key.partition(".")
        settings[section][name] = value
    sections = {"model": Model.model_validate(settings["model"]), "train": Train.model_validate(settings["train"])}
    return recipe.model_copy(update=sections)


def text_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings that the recipe's text vectors depend on; they also depend on the day's texts and histories."""
    settings = {
        f"{section}.{name}": value
        for section in ("model", "train")
        for name, value in getattr(recipe, section).model_dump(mode="json").items()
    }
    if recipe.model.tuning == "frozen" or recipe.train.text_epochs == 0:
        return {key: value for key, value in settings.items() if key in FROZEN_TEXT_KEYS}
    # The number of workers changes a trained text tower, so these keys stay. The seed does too; all points have the same.
    keys = (
        settings.keys() - USER_TOWER_KEYS - (UNSEARCHABLE_KEYS - {"train.workers", "train.launcher", "train.deepspeed"})
    )
    return {key: settings[key] for key in sorted(keys)} | {"train.seed": recipe.train.seed}


def touches_text(recipe: Recipe, space: SearchSpace) -> bool:
    """Whether the text vectors differ between points of the space."""
    if space.keys() & {"model.tuning", "train.text_epochs"}:
        return True
    return bool(space.keys() & text_settings(recipe).keys())
