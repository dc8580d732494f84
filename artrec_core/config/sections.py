"""Types that all sections of a recipe share."""

import difflib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


# `model/auto_settings.py` derives the value from the data.
Auto = Literal["auto"]


# Names of sources are part of ids, which are keys of the warehouse.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


class Section(BaseModel):
    """A section of a recipe. An unknown key is an error that names the key."""

    # A value may be a URL with its password, which no message of pydantic may quote.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def nearest(word: str, candidates: list[str]) -> str | None:
    """The candidate that is spelled most like the word, if any is similar."""
    return next(iter(difflib.get_close_matches(word, candidates, n=1)), None)
