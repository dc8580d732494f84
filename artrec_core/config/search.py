"""The hyper-parameter search of `artrec tune`: its settings, and a check of its space."""

from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, field_validator

from artrec_core.config.model import Model, Train
from artrec_core.config.sections import Section, nearest

Scalar = bool | int | float | str


SEARCHABLE_SECTIONS: dict[str, type[Section]] = {"model": Model, "train": Train}


# Keys of these sections that change no metric, or that change what is measured.
UNSEARCHABLE_KEYS = {
    f"train.{name}"
    for name in ("workers", "use_gpu", "launcher", "deepspeed", "checkpoint_steps", "refit", "seed", "max_failures")
} | {"train.experiment", "train.holdout"}


class Range(Section):
    """A range of numbers from which a search draws."""

    low: int | float = Field(description="Lowest value, included.")
    high: int | float = Field(description="Highest value, included.")
    log: bool = Field(False, description="Draw evenly on a logarithmic scale.")


class Tune(Section):
    """What `artrec tune` searches, and how."""

    search: Literal["optuna", "grid", "random"] = Field(
        "optuna", description="`optuna`: Bayesian search; `grid`: every combination of the choices once."
    )
    trials: int = Field(20, ge=1, description="Number of trials. A grid has one for each combination.")
    workers: int = Field(
        1, ge=1, description="Number of trials that Ray runs at the same time, here or on ARTREC_RAY_ADDRESS."
    )
    early_stopping: bool = Field(
        True,
        description="Stop trials whose validation metric is behind that of others at the same epoch (ASHA, Li et al. 2020).",
    )
    grace_epochs: int = Field(4, ge=1, description="Epochs of the user tower before a trial can be stopped early.")
    reduction: int = Field(
        3, ge=2, description="ASHA reduction factor: the best 1/`reduction` of the trials continue at each rung."
    )
    space: dict[str, Range | list[Scalar]] = Field(
        {},
        description="Keys of `model` and `train`, each with a list of choices or a range { low, high, log }. Empty: a space that suits most data.",
    )

    @field_validator("space", mode="before")
    @classmethod
    def _check_space(cls, space: Any) -> Any:
        if not isinstance(space, dict):
            raise ValueError("it must be a table of keys, such as model.dropout = { low = 0.1, high = 0.5 }")
        return {key: _check_domain(key, domain) for key, domain in _flatten(space).items()}


def check_heads(space: dict[str, Range | list[Scalar]], model: Model) -> None:
    """Raise `ValueError` if the space has a `model.dim` that is not a multiple of a `model.heads`."""
    if not space.keys() & {"model.dim", "model.heads"}:
        return
    dims, heads = (space.get(f"model.{name}", [getattr(model, name)]) for name in ("dim", "heads"))
    if isinstance(dims, Range) or isinstance(heads, Range):
        raise ValueError("tune.space: model.dim and model.heads need lists, because dim must be a multiple of heads")
    for dim in dims:
        for head_count in heads:
            if int(dim) % int(head_count):
                raise ValueError(f"tune.space: model.dim {dim} is not a multiple of model.heads {head_count}")


def _flatten(space: dict[str, Any]) -> dict[str, Any]:
    """The space with dotted keys: TOML reads `model.dropout = …` as nested tables unless the key is in quotes."""
    flat: dict[str, Any] = {}
    for key, value in space.items():
        is_section = key in SEARCHABLE_SECTIONS and isinstance(value, dict)
        flat |= {f"{key}.{name}": domain for name, domain in value.items()} if is_section else {key: value}
    return flat


def _check_domain(key: str, domain: Any) -> Range | list[Any]:
    """The checked choices or range of a key; `ValueError` says what is wrong."""
    section, _, name = key.partition(".")
    if section not in SEARCHABLE_SECTIONS or name not in SEARCHABLE_SECTIONS[section].model_fields:
        known_keys = [
            f"{prefix}.{field}" for prefix, model in SEARCHABLE_SECTIONS.items() for field in model.model_fields
        ]
        near = nearest(key, known_keys)
        raise ValueError(f"there is no key {key!r} of model or train" + (f"; did you mean `{near}`?" if near else ""))
    if key in UNSEARCHABLE_KEYS:
        raise ValueError(f"{key} cannot be searched: no value of it makes a better model")
    if isinstance(domain, list):
        if not domain:
            raise ValueError(f"{key} has no choices")
        return list(dict.fromkeys(_as_field(section, name, choice) for choice in domain))
    return _check_range(section, name, domain)


def _check_range(section: str, name: str, domain: Any) -> Range:
    key = f"{section}.{name}"
    table = domain.model_dump() if isinstance(domain, Range) else domain
    if not isinstance(table, dict) or not {"low", "high"} <= table.keys() <= {"low", "high", "log"}:
        raise ValueError(f"{key} takes a list of choices or a range {{ low = …, high = …, log = true }}")
    types = _member_types(SEARCHABLE_SECTIONS[section].model_fields[name].annotation)
    ends = [table["low"], table["high"]]
    if not types & {int, float} or any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
        raise ValueError(f"{key}: a range needs two numbers; use a list of choices instead")
    low, high = (_as_field(section, name, end) for end in ends)
    if not low < high:
        raise ValueError(f"{key}: low {low:g} must be less than high {high:g}")
    log = bool(table.get("log", False))
    if log and low <= 0:
        raise ValueError(f"{key}: a range with log must start above 0, not at {low:g}")
    return Range(low=low, high=high, log=log)


def _member_types(annotation: Any) -> set[Any]:
    """The annotation and the members of its unions and annotated types."""
    return {annotation}.union(*(_member_types(member) for member in get_args(annotation)))


def _as_field(section: str, name: str, value: Any) -> Any:
    """The value as the recipe's section stores it."""
    try:
        return getattr(SEARCHABLE_SECTIONS[section].model_validate({name: value}), name)
    except ValidationError as error:
        raise ValueError(f"{section}.{name} = {value!r}: {error.errors()[0]['msg']}") from None
