"""What an application needs to show an artwork."""

import polars as pl

from artrec_core.columns import CREATORS, MODEL_VERSION, RUN_DATE, SHOWN_ARTWORK, SIMULATED, conform


def shown_artworks(catalogue: pl.DataFrame, day: str, model_version: str) -> pl.DataFrame:
    """The artworks of the catalogue as SHOWN_ARTWORK.

    The names of the creators are one text, separated by `; `; it is null if no creator is named. `simulated` is false for
    all rows, because artworks are never simulated.

    Parameters
    ----------
    catalogue
        Rows of CATALOGUE.
    day
        The run date.
    model_version
        Version of the model that scored the day.
    """
    names = pl.col(CREATORS).list.eval(pl.element().struct.field("name")).list.drop_nulls().list.join("; ")
    artworks = catalogue.with_columns(
        pl.when(names != "").then(names).alias(CREATORS),
        pl.lit(day).alias(RUN_DATE),
        pl.lit(model_version).alias(MODEL_VERSION),
        pl.lit(False).alias(SIMULATED),
    )
    # PostgreSQL cannot store NUL in a text, but a crawled title may contain it.
    return conform(artworks, SHOWN_ARTWORK).with_columns(pl.col(pl.String).str.replace_all("\x00", "", literal=True))
