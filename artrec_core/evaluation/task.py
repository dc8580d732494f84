"""What an evaluation asks: all that a model may know before it ranks the works for people.

The test works are not in it, nor is anything made from them. A model is trained and chosen by a process that reads this
folder and writes lists, so no test work can reach training or selection.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from artrec_core.arrays import Int64Array
from artrec_core.columns import ARTWORK_ID, DOCUMENT, SEEN, USER, USER_ID
from artrec_core.data.holdout import Holdout, without_works
from artrec_core.evaluation.ranking import seen_works
from artrec_core.model.embeddings import distinct_interests
from artrec_core.model.sequences import Sequences, sequences
from artrec_core.model.training_data import asked_texts

_FRAMES = ("catalogue", "people", "train", "validation", "before_test", "asked", "hidden_events")


@dataclass(frozen=True)
class Question:
    """A world without its test.

    `catalogue` holds ARTWORK_ID and DOCUMENT by id, `people` are USER rows by id; both say what rows mean below. `train` are the
    histories to choose settings with, judged by `validation` (USER_ID, ARTWORK_ID); `before_test` those to answer from.
    `asked` (USER_ID) are the people to rank for. `hidden` works are in no history: they stand in the catalogue with their text alone;
    `hidden_events` (USER_ID, ARTWORK_ID) are the pairs that were taken out. `queries` are (text, work row) pairs.
    `text_vectors` (those of `texts`, text_dim) are those of the base model as it comes, for a frozen text tower.
    """

    catalogue: pl.DataFrame
    people: pl.DataFrame
    train: pl.DataFrame
    validation: pl.DataFrame
    before_test: pl.DataFrame
    asked: pl.DataFrame
    hidden_events: pl.DataFrame
    hidden: list[str]
    queries: list[tuple[str, int]]
    text_vectors: NDArray[np.float32] | None = None

    @classmethod
    def about(
        cls,
        held_out: Holdout,
        catalogue: pl.DataFrame,
        people: pl.DataFrame,
        queries: list[tuple[str, int]],
        *,
        hidden: list[str] | None = None,
    ) -> "Question":
        """The question of a holdout whose `hidden` works were not yet taken out; catalogue and people are sorted by id."""
        hidden = hidden or []
        shown = without_works(held_out, hidden)
        met = held_out.before_test.filter(pl.col(SEEN) & pl.col(ARTWORK_ID).is_in(hidden))
        return cls(
            catalogue=catalogue.select(ARTWORK_ID, DOCUMENT),
            people=people.select(*USER),
            train=shown.train,
            validation=shown.validation,
            before_test=shown.before_test,
            asked=held_out.test.select(USER_ID),
            hidden_events=met.select(USER_ID, ARTWORK_ID).unique().sort(USER_ID, ARTWORK_ID),
            hidden=hidden,
            queries=queries,
        )

    def save(self, folder: Path) -> None:
        """Write the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FRAMES:
            getattr(self, name).write_parquet(folder / f"{name}.parquet")
        if self.text_vectors is not None:
            np.save(folder / "text_vectors.npy", self.text_vectors)
        texts = {"hidden": self.hidden, "queries": self.queries}
        (folder / "texts.json").write_text(json.dumps(texts, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> "Question":
        """What `save` wrote; text vectors are mapped."""
        texts = json.loads((folder / "texts.json").read_text())
        vectors = folder / "text_vectors.npy"
        return cls(
            **{name: pl.read_parquet(folder / f"{name}.parquet") for name in _FRAMES},
            hidden=texts["hidden"],
            queries=[(text, int(row)) for text, row in texts["queries"]],
            text_vectors=np.load(vectors, mmap_mode="r") if vectors.exists() else None,
        )

    @cached_property
    def texts(self) -> list[str]:
        """Documents, distinct interests and what works may be asked for by: the order of `TrainingData.texts`."""
        interests = distinct_interests(self.people)[0]
        return [*self.catalogue[DOCUMENT].to_list(), *interests, *asked_texts(self.queries, interests)]

    @cached_property
    def artwork_ids(self) -> list[str]:
        """The works, in the order of their rows."""
        found: list[str] = self.catalogue[ARTWORK_ID].to_list()
        return found

    @cached_property
    def user_ids(self) -> list[str]:
        """The people, in the order of their rows."""
        found: list[str] = self.people[USER_ID].to_list()
        return found

    @cached_property
    def asked_rows(self) -> Int64Array:
        """Rows of the people to rank for."""
        return rows(self.asked[USER_ID], self.user_ids)

    @cached_property
    def hidden_rows(self) -> Int64Array:
        """Rows of the hidden works."""
        return rows(pl.Series(self.hidden, dtype=pl.String), self.artwork_ids)

    @cached_property
    def validation_rows(self) -> tuple[Int64Array, Int64Array]:
        """(people, works): rows of the validation pairs."""
        return rows(self.validation[USER_ID], self.user_ids), rows(self.validation[ARTWORK_ID], self.artwork_ids)

    def told(self, histories: pl.DataFrame) -> Sequences:
        """Histories of all people, a row of `people` each."""
        return sequences(histories, self.user_ids, self.artwork_ids)

    def met(self, *, hidden: bool) -> csr_array:
        """CSR (asked, works) of the works that are left out of a person's list: those met before the test.

        With `hidden`, also the hidden ones that the person met: a list that should find those again leaves them in.
        """
        works = len(self.artwork_ids)
        seen = seen_works(self.told(self.before_test), works)
        if hidden:
            seen = csr_array(seen + self.taken_out)
        return csr_array(seen[self.asked_rows])

    @cached_property
    def taken_out(self) -> csr_array:
        """CSR (people, works) of the pairs that hiding works took out."""
        people, works = (
            rows(self.hidden_events[USER_ID], self.user_ids),
            rows(self.hidden_events[ARTWORK_ID], self.artwork_ids),
        )
        return csr_array(
            (np.ones(len(people), np.float32), (people, works)), shape=(len(self.user_ids), len(self.artwork_ids))
        )


def rows(values: pl.Series, among: list[str]) -> Int64Array:
    """Where each value stands among the given ones; `KeyError` where one does not."""
    where = {one: row for row, one in enumerate(among)}
    return np.array([where[one] for one in values.to_list()], np.int64)
