"""An evaluation task: everything a model may know before it ranks artworks for users.

The test artworks are not in it, nor is anything made from them. A model is trained and tuned in a process that reads
the task's folder and writes lists, so no test artwork can reach training or tuning.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from artrec_core.arrays import Float32Array, Int64Array
from artrec_core.columns import ARTWORK_ID, DOCUMENT, SEEN, USER, USER_ID
from artrec_core.data.holdout import remove_artworks
from artrec_core.data.people import distinct_interests
from artrec_core.data.rows import row_numbers
from artrec_core.evaluation.ranking import seen_matrix
from artrec_core.model.sequences import Sequences, build_sequences
from artrec_core.model.training_data import select_query_texts
from artrec_core.model.training_split import TrainingSplit

# Fields that are frames, and the names of their files.
_FRAME_FILES = {
    "catalogue": "catalogue",
    "users": "people",
    "train": "train",
    "validation": "validation",
    "before_test": "before_test",
    "test_users": "asked",
    "hidden_events": "hidden_events",
}


@dataclass(frozen=True)
class EvaluationTask:
    """What a model may know of a held-out split: everything but the test artworks.

    - `catalogue`: ARTWORK_ID and DOCUMENT, by id. Its rows number the artworks, (I,).
    - `users`: rows of USER, by id. They number the users, (U,).
    - `train`: the histories to tune settings with; `validation` (USER_ID, ARTWORK_ID) measures the settings.
    - `before_test`: the histories to rank from.
    - `test_users` (USER_ID): the n users to rank for.
    - `hidden_ids`: artworks that were taken out of all histories. Only their text is known.
    - `hidden_events` (USER_ID, ARTWORK_ID): the pairs that were taken out with them.
    - `queries`: pairs of a text and the row of the artwork that it is a query for.
    - `text_vectors`: vectors of `texts`, (texts, d), by the base model without fine-tuning; for a frozen text tower.
    """

    catalogue: pl.DataFrame
    users: pl.DataFrame
    train: pl.DataFrame
    validation: pl.DataFrame
    before_test: pl.DataFrame
    test_users: pl.DataFrame
    hidden_events: pl.DataFrame
    hidden_ids: list[str]
    queries: list[tuple[str, int]]
    text_vectors: Float32Array | None = None

    @classmethod
    def from_split(cls, split: TrainingSplit, *, hidden_ids: list[str] | None = None) -> "EvaluationTask":
        """Make the task of a split.

        Parameters
        ----------
        split
            A night's tables; its holdout still contains the hidden artworks.
        hidden_ids
            Ids of the artworks to take out of all histories.
        """
        hidden_ids, held_out = hidden_ids or [], split.held_out
        visible = remove_artworks(held_out, hidden_ids)
        hidden_events = held_out.before_test.filter(pl.col(SEEN) & pl.col(ARTWORK_ID).is_in(hidden_ids))
        return cls(
            catalogue=split.catalogue.select(ARTWORK_ID, DOCUMENT),
            users=split.people.select(*USER),
            train=visible.train,
            validation=visible.validation,
            before_test=visible.before_test,
            test_users=held_out.test.select(USER_ID),
            hidden_events=hidden_events.select(USER_ID, ARTWORK_ID).unique().sort(USER_ID, ARTWORK_ID),
            hidden_ids=hidden_ids,
            queries=split.queries,
        )

    def save(self, folder: Path) -> None:
        """Write the task into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in _FRAME_FILES.items():
            getattr(self, name).write_parquet(folder / f"{file}.parquet")
        if self.text_vectors is not None:
            np.save(folder / "text_vectors.npy", self.text_vectors)
        texts = {"hidden": self.hidden_ids, "queries": self.queries}
        (folder / "texts.json").write_text(json.dumps(texts, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> "EvaluationTask":
        """Read the folder that `save` has written; text vectors are mapped into memory."""
        texts = json.loads((folder / "texts.json").read_text())
        vectors = folder / "text_vectors.npy"
        return cls(
            **{name: pl.read_parquet(folder / f"{file}.parquet") for name, file in _FRAME_FILES.items()},
            hidden_ids=texts["hidden"],
            queries=[(text, int(row)) for text, row in texts["queries"]],
            text_vectors=np.load(vectors, mmap_mode="r") if vectors.exists() else None,
        )

    @cached_property
    def texts(self) -> list[str]:
        """Documents, distinct interests and query texts, in the order of `TrainingData.texts`."""
        interests = distinct_interests(self.users)[0]
        return [*self.catalogue[DOCUMENT].to_list(), *interests, *select_query_texts(self.queries, interests)]

    @cached_property
    def artwork_ids(self) -> list[str]:
        """Ids of the artworks, in the order of their rows."""
        artwork_ids: list[str] = self.catalogue[ARTWORK_ID].to_list()
        return artwork_ids

    @cached_property
    def user_ids(self) -> list[str]:
        """Ids of the users, in the order of their rows."""
        user_ids: list[str] = self.users[USER_ID].to_list()
        return user_ids

    @cached_property
    def test_user_rows(self) -> Int64Array:
        """Rows of the users to rank for, (n,)."""
        return row_numbers(self.test_users[USER_ID], self.user_ids)

    @cached_property
    def hidden_rows(self) -> Int64Array:
        """Rows of the hidden artworks."""
        return row_numbers(pl.Series(self.hidden_ids, dtype=pl.String), self.artwork_ids)

    @cached_property
    def validation_rows(self) -> tuple[Int64Array, Int64Array]:
        """Rows of the users and of the artworks of the validation pairs."""
        users = row_numbers(self.validation[USER_ID], self.user_ids)
        return users, row_numbers(self.validation[ARTWORK_ID], self.artwork_ids)

    @cached_property
    def train_sequences(self) -> Sequences:
        """`train` as sequences, one for each row of `users`."""
        return build_sequences(self.train, self.user_ids, self.artwork_ids)

    @cached_property
    def before_test_sequences(self) -> Sequences:
        """`before_test` as sequences, one for each row of `users`."""
        return build_sequences(self.before_test, self.user_ids, self.artwork_ids)

    @cached_property
    def _seen_pairs(self) -> csr_array:
        """The artworks that each user has seen before the test, (U, I)."""
        return seen_matrix(self.before_test_sequences, len(self.artwork_ids))

    def excluded_pairs(self, *, with_hidden: bool) -> csr_array:
        """The artworks to leave out of each test user's list: those seen before the test.

        Parameters
        ----------
        with_hidden
            Whether to leave out hidden artworks that the user had seen. A list that should find them again keeps them.

        Returns
        -------
        CSR (n, I).
        """
        seen_pairs = csr_array(self._seen_pairs + self.hidden_pairs) if with_hidden else self._seen_pairs
        return csr_array(seen_pairs[self.test_user_rows])

    @cached_property
    def hidden_pairs(self) -> csr_array:
        """`hidden_events` as a CSR (U, I)."""
        users = row_numbers(self.hidden_events[USER_ID], self.user_ids)
        artworks = row_numbers(self.hidden_events[ARTWORK_ID], self.artwork_ids)
        shape = (len(self.user_ids), len(self.artwork_ids))
        return csr_array((np.ones(len(users), np.float32), (users, artworks)), shape=shape)
