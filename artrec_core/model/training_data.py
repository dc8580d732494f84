"""What a training run reads: one folder, written by the job and read by every worker."""

import hashlib
import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from artrec_core.arrays import Int64Array
from artrec_core.model.sequences import Sequences

# So many texts that works may be asked for by teach the user tower to read stated interests; all of a large catalogue's would
# take as long to encode as its documents.
MOST_ASKED = 20_000
_REFIT = "refit_"
_SEQUENCES = ("starts", "works", "signals", "gaps", "positive", "new")


@dataclass(frozen=True)
class TrainingData:
    """People's histories without what is held out for the test, and the texts of works and interests.

    `documents` are the artworks' texts, a row each of `artwork_ids`; `interests` the distinct stated interests and
    `interest_of` (people,) the row of each person's, or -1. `queries` are (text, artwork row) pairs: what a work may be
    asked for by. `validation` holds (person, artwork row) pairs. `text_vectors` (those of `texts`, text_dim) are given where the text
    tower is frozen. `refit` are the histories with the validation works. `people` are the ids of the histories' rows.
    """

    artwork_ids: list[str]
    documents: list[str]
    interests: list[str]
    interest_of: Int64Array
    queries: list[tuple[str, int]]
    histories: Sequences
    validation: Int64Array
    text_vectors: NDArray[np.float32] | None = None
    people: list[str] = field(default_factory=list)
    refit: Sequences | None = None

    @cached_property
    def texts(self) -> list[str]:
        """What is encoded, in this order: documents, interests and what works may be asked for by."""
        return [*self.documents, *self.interests, *self._asked_texts]

    @cached_property
    def asked(self) -> tuple[Int64Array, Int64Array]:
        """(text, artwork row) pairs (n,), (n,): which of `texts` a work may be asked for by."""
        row = {text: place for place, text in enumerate(self._asked_texts, len(self.documents) + len(self.interests))}
        found = [(row[text], work) for text, work in self.queries if text in row]
        texts, works = np.array(found, np.int64).reshape(-1, 2).T
        return texts, works

    @cached_property
    def _asked_texts(self) -> list[str]:
        return asked_texts(self.queries, self.interests)

    def save(self, folder: Path) -> None:
        """Write the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "artwork_ids": self.artwork_ids,
            "documents": self.documents,
            "interests": self.interests,
            "queries": self.queries,
            "people": self.people,
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
        """What `save` wrote; text vectors are mapped, so that workers of one machine share them."""
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
                people=texts["people"],
                refit=Sequences(*(arrays[_REFIT + name] for name in _SEQUENCES))
                if _REFIT + "works" in arrays
                else None,
            )


def asked_texts(queries: Sequence[tuple[str, int]], interests: Sequence[str]) -> list[str]:
    """The distinct texts of queries, of many those whose hash is smallest: of fewer queries the same ones, if they are there.

    None where nobody stated interests: there are no words to learn to read, and learning it costs the histories (MovieLens).
    """
    if not interests:
        return []
    distinct = dict.fromkeys(text for text, _ in queries)
    return heapq.nsmallest(
        MOST_ASKED, distinct, key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest()
    )
