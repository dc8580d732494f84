"""The tables of one run as aligned arrays: users in order of user_id, artworks in order of artwork_id."""

from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int32Array
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
    """The tables of the lake that a run scores, under their names in the lake.

    `first_nights` holds ARTWORK_ID and `night`, the first run date on which the artwork was in the catalogue.
    """

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


# The cached properties that depend on the users.
USER_PROPERTIES = ("seen_pairs", "positive_pairs", "simulated", "text_interests", "reasons", "has_evidence")


class ScoringData:
    """The users U and artworks I of one run, as arrays."""

    def __init__(self, tables: ScoringTables) -> None:
        """Raises `ArtrecError` if an artwork has no vector, or if the vectors come from several model versions."""
        self.tables, self.day = tables, tables.day
        self.catalogue = tables.catalogue.unique(ARTWORK_ID, keep="first", maintain_order=True).sort(ARTWORK_ID)
        self.artwork_ids = self.catalogue[ARTWORK_ID]
        self.model_version = self._model_version()
        self.item_vectors = self._artwork_vectors(tables.item_vectors, ARTWORK_ID)
        self.users_per_artwork = users_per_artwork(tables.histories, self.artwork_ids)
        self.any_simulated = bool(tables.histories[SIMULATED].fill_null(False).any())
        self._set_users()

    def _set_users(self) -> None:
        """Set the attributes that depend on the users."""
        tables = self.tables
        self.users = tables.people.unique(USER_ID, keep="first", maintain_order=True).sort(USER_ID)
        self.user_ids = self.users[USER_ID]
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
        """The data of these users only. The artworks stay, with their popularity among all users.

        The copy shares everything about the artworks, and does not compute it again.

        Parameters
        ----------
        people, histories, user_vectors, interest_vectors
            The rows of these users in the tables of the same names.
        """
        # The reasons come first: to compute them fills properties that the copy shares.
        reasons = self.reasons
        data = copy(self)
        for name in USER_PROPERTIES:
            data.__dict__.pop(name, None)
        data.tables = replace(
            self.tables,
            people=people,
            histories=histories,
            user_vectors=user_vectors,
            interest_vectors=interest_vectors,
        )
        data._set_users()
        data.reasons = reasons.for_users(citable_events(data.events), data._stated_interests())
        return data

    def without_users(self) -> "ScoringData":
        """The data of the artworks, and of the tables only what `with_users` needs.

        Machines that score some of the users share it.
        """
        tables = self.tables
        if tables.text_vectors is not None:
            _ = self.text_items
        artworks_only = self.with_users(tables.people[:0], tables.histories[:0], tables.user_vectors[:0])
        # The text vectors are an array by now. One row of the table still says which text tower they come from.
        text_vectors = None if tables.text_vectors is None else tables.text_vectors[:1]
        artworks_only.tables = replace(
            artworks_only.tables,
            catalogue=self.catalogue,
            item_vectors=tables.item_vectors[:0],
            text_vectors=text_vectors,
        )
        return artworks_only

    def _stated_interests(self) -> list[str | None]:
        return [text if text and text.strip() else None for text in self.users[INTERESTS].to_list()]

    @cached_property
    def seen_pairs(self) -> csr_array:
        """Which artworks each user has seen, (U, I)."""
        return pair_matrix(self.events.filter(SEEN), *self.shape)

    @cached_property
    def positive_pairs(self) -> csr_array:
        """With which artworks each user has a positive event, (U, I)."""
        return pair_matrix(self.events.filter(POSITIVE), *self.shape)

    @cached_property
    def simulated(self) -> BoolArray:
        """Whether a user, or any event of the user, is simulated, (U,)."""
        user_ids = self.tables.histories.filter(SIMULATED)[USER_ID].unique()
        flags = self.users[SIMULATED].fill_null(False) | self.user_ids.is_in(user_ids.implode())
        return flags.to_numpy().astype(bool)

    @cached_property
    def unit_items(self) -> Float32Array:
        """Artwork vectors scaled to length 1, (I, d)."""
        return unit_rows(self.item_vectors)

    @cached_property
    def text_items(self) -> Float32Array:
        """Text vectors of the artworks, (I, d_text)."""
        table = self.tables.text_vectors
        if table is None or table[TEXT_TOWER].n_unique() != 1:
            raise ArtrecError(
                f"text_vectors of {self.day} do not all come from one text tower; "
                f"run `artrec embed --date {self.day}` first"
            )
        return self._artwork_vectors(table, CONTENT_HASH)

    @cached_property
    def text_interests(self) -> Float32Array:
        """Text vectors of the stated interests, (U, d_text); zero for users without any."""
        table = self.tables.interest_vectors
        if table is None or table.height == 0:
            return np.zeros((self.shape[0], self.text_items.shape[1]), np.float32)
        towers = [
            sorted(frame[TEXT_TOWER].unique()) for frame in (table, self.tables.text_vectors) if frame is not None
        ]
        if towers[0] != towers[-1]:
            raise ArtrecError(
                f"interest_vectors and text_vectors of {self.day} do not come from one text tower; "
                f"run `artrec embed --date {self.day}` first"
            )
        vectors, _ = vectors_of(self.users[INTERESTS].str.strip_chars(), table, INTERESTS)
        return vectors

    @cached_property
    def freshness_days(self) -> Float64Array:
        """How many days each artwork has been in the catalogue, (I,)."""
        nights = self.artwork_ids.to_frame().join(
            self.tables.first_nights, on=ARTWORK_ID, how="left", maintain_order="left"
        )
        since = nights["night"].fill_null(self.day).str.to_date()
        return (pl.Series([date.fromisoformat(self.day)]) - since).dt.total_days().to_numpy().astype(np.float64)

    @cached_property
    def reasons(self) -> Reasons:
        """The reasons for recommendations to these users."""
        return Reasons(
            self.catalogue,
            self.unit_items,
            citable_events(self.events),
            self._stated_interests(),
            self.users_per_artwork,
        )

    @cached_property
    def has_evidence(self) -> BoolArray:
        """Whether a reason can cite a history or an interest of each user, (U,)."""
        return self.reasons.has_evidence(0, self.shape[0])

    @cached_property
    def popular_order(self) -> Int32Array:
        """All artwork rows, popular ones first, in the order of `varied_order`, (I,)."""
        return varied_order(self.catalogue, self.users_per_artwork)

    def _artwork_vectors(self, table: pl.DataFrame, key: str) -> Float32Array:
        vectors, has_vector = vectors_of(self.catalogue[key], table, key)
        if not has_vector.all():
            missing_ids = self.artwork_ids.filter(pl.Series(~has_vector))
            raise ArtrecError(
                f"{len(missing_ids):,} artworks of the catalogue have no vector for {self.day}, "
                f"the first is {missing_ids[0]}; run `artrec embed --date {self.day}` first"
            )
        return vectors

    def _model_version(self) -> str:
        tables = (self.tables.item_vectors, self.tables.user_vectors)
        versions = sorted({str(version) for table in tables for version in table[MODEL_VERSION].unique()})
        if len(versions) != 1:
            raise ArtrecError(
                f"the vectors of {self.day} come from {len(versions)} model versions ({', '.join(versions)}); "
                f"run `artrec embed --date {self.day}` first"
            )
        return versions[0]
