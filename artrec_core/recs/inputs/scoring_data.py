"""A night's tables as arrays that agree: people in order of user_id, works in order of artwork_id."""

from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Int32Array
from artrec_core.columns import (
    ARTWORK_ID,
    CONTENT_HASH,
    INTERESTS,
    MODEL_VERSION,
    POSITIVE,
    SEEN,
    SIMULATED,
    TEXT_TOWER,
    USER_ID,
)
from artrec_core.errors import ArtrecError
from artrec_core.recs.inputs.arrays import add_row_numbers, pair_matrix, vectors_of
from artrec_core.recs.inputs.popularity import users_per_artwork, varied_order
from artrec_core.recs.inputs.reasons import Reasons, citable_events
from artrec_core.recs.inputs.similarity import unit_rows


@dataclass(frozen=True)
class ScoringTables:
    """What a night is scored from: the lake's tables as read. `first_nights` holds ARTWORK_ID and the `night` a work was first there."""

    day: str
    catalogue: pl.DataFrame
    people: pl.DataFrame
    histories: pl.DataFrame
    item_vectors: pl.DataFrame
    user_vectors: pl.DataFrame
    text_vectors: pl.DataFrame | None = None
    interest_vectors: pl.DataFrame | None = None
    first_nights: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={ARTWORK_ID: pl.String, "night": pl.String})
    )


# What of a world is known of its people, made when it is first asked for.
USER_PROPERTIES = ("seen_pairs", "positive_pairs", "simulated", "text_interests", "reasons", "has_evidence")


class ScoringData:
    """People U and works I of a night."""

    def __init__(self, tables: ScoringTables) -> None:
        """Raises `ArtrecError` where a work has no vector or the vectors are of several model versions."""
        self.tables, self.day = tables, tables.day
        self.catalogue = tables.catalogue.unique(ARTWORK_ID, keep="first", maintain_order=True).sort(ARTWORK_ID)
        self.artwork_ids = self.catalogue[ARTWORK_ID]
        self.model_version = self._one_version()
        self.item_vectors = self._of_works(tables.item_vectors, ARTWORK_ID)
        self.users_per_artwork = users_per_artwork(tables.histories, self.artwork_ids)
        self.any_simulated = bool(tables.histories[SIMULATED].fill_null(False).any())
        self._seat()

    def _seat(self) -> None:
        """What is known of each person."""
        tables = self.tables
        self.people = tables.people.unique(USER_ID, keep="first", maintain_order=True).sort(USER_ID)
        self.user_ids = self.people[USER_ID]
        self.shape = (len(self.user_ids), len(self.artwork_ids))
        self.user_vectors, _ = vectors_of(self.user_ids, tables.user_vectors, USER_ID)
        if tables.user_vectors.height == 0:
            self.user_vectors = np.zeros((self.shape[0], self.item_vectors.shape[1]), np.float32)
        self.events = add_row_numbers(tables.histories, self.user_ids, self.artwork_ids)

    def with_users(
        self,
        people: pl.DataFrame,
        histories: pl.DataFrame,
        user_vectors: pl.DataFrame,
        interest_vectors: pl.DataFrame | None = None,
    ) -> "ScoringData":
        """The same works, as popular as they are with everyone, and these people only: some of the world's.

        What is known of the works is shared with the copy, not made again.
        """
        some, reasons = copy(self), self.reasons
        for name in USER_PROPERTIES:
            some.__dict__.pop(name, None)
        some.tables = replace(
            self.tables,
            people=people,
            histories=histories,
            user_vectors=user_vectors,
            interest_vectors=interest_vectors,
        )
        some._seat()
        some.reasons = reasons.of(citable_events(some.events), some._stated())
        return some

    def without_users(self) -> "ScoringData":
        """The works alone, and of the tables only what `with_users` needs: what machines that score some people share."""
        tables = self.tables
        if tables.text_vectors is not None:
            _ = self.text_items
        bare = self.with_users(tables.people[:0], tables.histories[:0], tables.user_vectors[:0])
        # One row tells which text tower the vectors, an array by now, come from.
        texts = None if tables.text_vectors is None else tables.text_vectors[:1]
        bare.tables = replace(
            bare.tables, catalogue=self.catalogue, item_vectors=tables.item_vectors[:0], text_vectors=texts
        )
        return bare

    def _stated(self) -> list[str | None]:
        return [text if text and text.strip() else None for text in self.people[INTERESTS].to_list()]

    @cached_property
    def seen_pairs(self) -> csr_array:
        """What each person has seen, (U, I)."""
        return pair_matrix(self.events.filter(SEEN), *self.shape)

    @cached_property
    def positive_pairs(self) -> csr_array:
        """What each person has a positive event with, (U, I)."""
        return pair_matrix(self.events.filter(POSITIVE), *self.shape)

    @cached_property
    def simulated(self) -> npt.NDArray[np.bool_]:
        """Whether a person, or any event of theirs, is simulated, (U,)."""
        touched = self.tables.histories.filter(SIMULATED)[USER_ID].unique()
        flags = self.people[SIMULATED].fill_null(False) | self.user_ids.is_in(touched.implode())
        return flags.to_numpy().astype(bool)

    @cached_property
    def unit_items(self) -> Float32Array:
        """Artwork vectors made unit long, (I, d)."""
        return unit_rows(self.item_vectors)

    @cached_property
    def text_items(self) -> Float32Array:
        """Text vectors of the works, (I, d_text)."""
        table = self.tables.text_vectors
        if table is None or table[TEXT_TOWER].n_unique() != 1:
            raise ArtrecError(
                f"text_vectors of {self.day} are not of one text tower; run `artrec embed --date {self.day}` first"
            )
        return self._of_works(table, CONTENT_HASH)

    @cached_property
    def text_interests(self) -> Float32Array:
        """Text vectors of what people said they are interested in, (U, d_text); zero for who said nothing."""
        table = self.tables.interest_vectors
        if table is None or table.height == 0:
            return np.zeros((self.shape[0], self.text_items.shape[1]), np.float32)
        towers = [sorted(one[TEXT_TOWER].unique()) for one in (table, self.tables.text_vectors) if one is not None]
        if towers[0] != towers[-1]:
            raise ArtrecError(
                f"interest_vectors and text_vectors of {self.day} are not of one text tower; "
                f"run `artrec embed --date {self.day}` first"
            )
        vectors, _ = vectors_of(self.people[INTERESTS].str.strip_chars(), table, INTERESTS)
        return vectors

    @cached_property
    def freshness_days(self) -> npt.NDArray[np.float64]:
        """For how many days each work has been in the catalogue, (I,)."""
        nights = self.artwork_ids.to_frame().join(
            self.tables.first_nights, on=ARTWORK_ID, how="left", maintain_order="left"
        )
        since = nights["night"].fill_null(self.day).str.to_date()
        return (pl.Series([date.fromisoformat(self.day)]) - since).dt.total_days().to_numpy().astype(np.float64)

    @cached_property
    def reasons(self) -> Reasons:
        """Who may be told what."""
        return Reasons(
            self.catalogue, self.unit_items, citable_events(self.events), self._stated(), self.users_per_artwork
        )

    @cached_property
    def has_evidence(self) -> npt.NDArray[np.bool_]:
        """Whether a reason has anything of each person's to cite, (U,)."""
        return self.reasons.has_evidence(0, self.shape[0])

    @cached_property
    def popular_order(self) -> Int32Array:
        """All works, popular ones first, with variety, (I,)."""
        return varied_order(self.catalogue, self.users_per_artwork)

    def _of_works(self, table: pl.DataFrame, key: str) -> Float32Array:
        vectors, known = vectors_of(self.catalogue[key], table, key)
        if not known.all():
            missing = self.artwork_ids.filter(pl.Series(~known))
            raise ArtrecError(
                f"{len(missing):,} works of the catalogue have no vector for {self.day}, the first is {missing[0]}; "
                f"run `artrec embed --date {self.day}` first"
            )
        return vectors

    def _one_version(self) -> str:
        both = (self.tables.item_vectors, self.tables.user_vectors)
        versions = sorted({str(version) for table in both for version in table[MODEL_VERSION].unique()})
        if len(versions) != 1:
            raise ArtrecError(
                f"the vectors of {self.day} come from {len(versions)} model versions ({', '.join(versions)}); "
                f"run `artrec embed --date {self.day}` first"
            )
        return versions[0]
