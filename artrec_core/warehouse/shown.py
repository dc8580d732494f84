"""What an app needs to show a work."""

import polars as pl

from artrec_core.columns import CREATORS, MODEL_VERSION, RUN_DATE, SHOWN_ARTWORK, SIMULATED, conform


def shown_artworks(catalogue: pl.DataFrame, day: str, model_version: str) -> pl.DataFrame:
    """The catalogue as SHOWN_ARTWORK: its creators' names in one text, `; ` between them, null where nobody is named.

    Works are never simulated, whoever recommends them.
    """
    names = pl.col(CREATORS).list.eval(pl.element().struct.field("name")).list.drop_nulls().list.join("; ")
    shown = catalogue.with_columns(
        pl.when(names != "").then(names).alias(CREATORS),
        pl.lit(day).alias(RUN_DATE),
        pl.lit(model_version).alias(MODEL_VERSION),
        pl.lit(False).alias(SIMULATED),
    )
    # Postgres holds no NUL in a text, and a crawled title may.
    return conform(shown, SHOWN_ARTWORK).with_columns(pl.col(pl.String).str.replace_all("\x00", "", literal=True))
