"""What a training run reads: one folder that the job writes and every worker reads."""

import hashlib
import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from artrec_core.arrays import Int64Array
from artrec_core.columns import ARTWORK_ID, DOCUMENT, USER_ID
from artrec_core.data.people import distinct_interests
from artrec_core.data.rows import row_numbers
from artrec_core.model.sequences import Sequences, build_sequences

# All query texts of a large catalogue would take as long to encode as its documents.
MAX_QUERY_TEXTS = 20_000
_REFIT = "refit_"
_SEQUENCES = ("starts", "artworks", "signals", "gaps", "positive", "new")


@dataclass(frozen=True)
class TrainingData:
    """User histories without the test split, and the texts of artworks and interests.

    Attributes
    ----------
    artwork_ids
        The catalogue; artwork rows are places in this list.
    documents
        The text of each artwork, in the order of `artwork_ids`.
    interests
        The distinct stated interests.
    interest_of
        (users,) row of each user's interest in `interests`, -1 without one.
    queries
        (text, artwork row) pairs: a text that users may search for, and an artwork that answers it.
    histories
        Events of each user, without the validation and test artworks.
    validation
        (n, 2) pairs of user row and artwork row: the validation split.
    text_vectors
        (texts, text_dim) vectors of `texts`, given where the text tower is frozen.
    user_ids
        The user of each row of `histories`.
    refit
        The histories with the validation artworks.
    """

    artwork_ids: list[str]
    documents: list[str]
    interests: list[str]
    interest_of: Int64Array
    queries: list[tuple[str, int]]
    histories: Sequences
    validation: Int64Array
    text_vectors: NDArray[np.float32] | None = None
    user_ids: list[str] = field(default_factory=list)
    refit: Sequences | None = None

    @classmethod
    def from_frames(
        cls,
        catalogue: pl.DataFrame,
        users: pl.DataFrame,
        queries: list[tuple[str, int]],
        *,
        train: pl.DataFrame,
        validation: pl.DataFrame,
        before_test: pl.DataFrame | None = None,
    ) -> "TrainingData":
        """Assemble the data of a training from tables.

        Parameters
        ----------
        catalogue
            ARTWORK_ID and DOCUMENT. Its rows number the artworks.
        users
            USER_ID and INTERESTS. Its rows number the users.
        queries
            (text, artwork row) pairs.
        train
            HISTORY rows without the validation and test artworks.
        validation
            USER_ID and ARTWORK_ID of the validation split.
        before_test
            HISTORY rows without the test artworks, where training ends with a refit on them.
        """
        artwork_ids, user_ids = catalogue[ARTWORK_ID].to_list(), users[USER_ID].to_list()
        interests, interest_of = distinct_interests(users)
        validation_rows = row_numbers(validation[USER_ID], user_ids), row_numbers(validation[ARTWORK_ID], artwork_ids)
        return cls(
            artwork_ids=artwork_ids,
            documents=catalogue[DOCUMENT].to_list(),
            interests=interests,
            interest_of=interest_of,
            queries=queries,
            histories=build_sequences(train, user_ids, artwork_ids),
            validation=np.stack(validation_rows, 1),
            user_ids=user_ids,
            refit=None if before_test is None else build_sequences(before_test, user_ids, artwork_ids),
        )

    @cached_property
    def texts(self) -> list[str]:
        """The texts to encode: documents, then interests, then query texts."""
        return [*self.documents, *self.interests, *self._query_texts]

    @cached_property
    def query_pairs(self) -> tuple[Int64Array, Int64Array]:
        """The queries that training uses, as two arrays (n,) and (n,): rows of `texts` and rows of artworks."""
        text_rows = {text: row for row, text in enumerate(self._query_texts, len(self.documents) + len(self.interests))}
        pairs = [(text_rows[text], artwork) for text, artwork in self.queries if text in text_rows]
        texts, artworks = np.array(pairs, np.int64).reshape(-1, 2).T
        return texts, artworks

    @cached_property
    def _query_texts(self) -> list[str]:
        return select_query_texts(self.queries, self.interests)

    def save(self, folder: Path) -> None:
        """Write the data into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "artwork_ids": self.artwork_ids,
            "documents": self.documents,
            "interests": self.interests,
            "queries": self.queries,
            "people": self.user_ids,
        }
        (folder / "texts.json").write_text(json.dumps(texts, ensure_ascii=False))
        arrays = {name: getattr(self.histories, name) for name in _SEQUENCES}
        if self.refit is not None:
            arrays |= {_REFIT + name: getattr(self.refit, name) for name in _SEQUENCES}
        np.savez(folder / "arrays.npz", interest_of=self.interest_of, validation=self.validation, **arrays)
        if self.text_vectors is not None:
            np.save(folder / "text_vectors.npy", self.text_vectors)

    @classmethod
    def load(cls, folder: Path) -> "TrainingData":
        """Read what `save` wrote. Text vectors are memory-mapped: the workers of one machine share them."""
        texts = json.loads((folder / "texts.json").read_text())
        vectors = folder / "text_vectors.npy"
        with np.load(folder / "arrays.npz") as arrays:
            return cls(
                artwork_ids=texts["artwork_ids"],
                documents=texts["documents"],
                interests=texts["interests"],
                interest_of=arrays["interest_of"],
                queries=[(text, int(row)) for text, row in texts["queries"]],
                histories=Sequences(*(arrays[name] for name in _SEQUENCES)),
                validation=arrays["validation"],
                text_vectors=np.load(vectors, mmap_mode="r") if vectors.exists() else None,
                user_ids=texts["people"],
                refit=Sequences(*(arrays[_REFIT + name] for name in _SEQUENCES))
                if _REFIT + "artworks" in arrays
                else None,
            )


def select_query_texts(queries: Sequence[tuple[str, int]], interests: Sequence[str]) -> list[str]:
    """The distinct texts of the queries, at most `MAX_QUERY_TEXTS`; none if no user stated interests.

    Query texts teach the user tower to read stated interests. Without interests there is nothing to read, and the task
    makes histories worse (measured on MovieLens).

    Of more texts, those with the smallest hash are selected. The selection thus hardly changes when queries are added or
    removed.

    Parameters
    ----------
    queries
        (text, artwork row) pairs.
    interests
        The distinct stated interests.
    """
    if not interests:
        return []
    distinct = dict.fromkeys(text for text, _ in queries)
    return heapq.nsmallest(
        MAX_QUERY_TEXTS, distinct, key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest()
    )
