"""What a training run reads: one folder, written by the job and read by every worker."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from artrec_core.model.batches import Ints, Sequences

_REFIT = "refit_"
_SEQUENCES = ("starts", "works", "signals", "gaps", "positive", "new")


@dataclass(frozen=True)
class TrainingData:
    """People's histories without what is held out for the test, and the texts of works and interests.

    `documents` are the artworks' texts, a row each of `artwork_ids`; `interests` the distinct stated interests and
    `interest_of` (people,) the row of each person's, or -1. `queries` are (text, artwork row) pairs: what a work may be
    asked for by. `validation` holds (person, artwork row) pairs. `text_vectors` are given where the text tower is frozen:
    (documents then interests, text_dim). `refit` are the histories with the validation works. `people` are the ids of the histories' rows.
    """

    artwork_ids: list[str]
    documents: list[str]
    interests: list[str]
    interest_of: Ints
    queries: list[tuple[str, int]]
    histories: Sequences
    validation: Ints
    text_vectors: NDArray[np.float32] | None = None
    people: list[str] = field(default_factory=list)
    refit: Sequences | None = None

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
