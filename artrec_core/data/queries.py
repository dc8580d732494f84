"""Queries: short texts that an artwork can be found by."""

import polars as pl

from artrec_core.columns import CLASSIFICATION, CULTURE, MEDIUM, MOVEMENT, SUBJECTS, TITLE
from artrec_core.data.artwork import creator_names


def artwork_queries(catalogue: pl.DataFrame) -> list[tuple[str, int]]:
    """(text, row) pairs: an artwork's title, its creators, its subjects, its movement and culture, its kind and medium."""
    texts = catalogue.select(
        pl.col(TITLE),
        creator_names().list.join(", ").alias("creators"),
        pl.col(SUBJECTS).list.drop_nulls().list.join(", ").alias("subjects"),
        pl.concat_str([MOVEMENT, CULTURE], separator=", ", ignore_nulls=True).alias("movement"),
        pl.concat_str([CLASSIFICATION, MEDIUM], separator=", ", ignore_nulls=True).alias("medium"),
    )
    return [(text, row) for row, of_artwork in enumerate(texts.iter_rows()) for text in of_artwork if text]
