"""What `artrec tune` searches."""

from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, field_validator

from artrec_core.config.model import Model, Train
from artrec_core.config.sections import Section, nearest

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
    grace_epochs: int = Field(4, ge=1, description="passes of the user tower before a trial can be ended early")
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
        near = nearest(key, [f"{one}.{field}" for one, model in SEARCHED.items() for field in model.model_fields])
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


def check_heads(space: dict[str, Range | list[Scalar]], model: Model) -> None:
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
