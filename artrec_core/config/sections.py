"""What every section of a recipe has in common."""

import difflib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


# Settled from the data when they are known (`model/auto_settings.py`).
Auto = Literal["auto"]


# It stands before ids, which are keys of the warehouse.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


class Section(BaseModel):
    """A part of a recipe: a key it does not know is an error that names it."""

    # A value may be a URL with its password, which no message of pydantic may quote.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def nearest(word: str, known: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)
