"""Vectors of a trained model: documents, artworks, people."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import polars as pl
import torch

from artrec_core.arrays import Float32Array, Int64Array
from artrec_core.columns import INTERESTS, USER_ID
from artrec_core.model.sequences import NO_WORK, sequences
from artrec_core.model.text_encoder import encode
from artrec_core.model.two_tower import TwoTower
from artrec_core.model.user_phase import user_states

# 65,536 text vectors of 384 dimensions are 100 MB.
WORKS_IN_BLOCK = 65536


def text_vectors(
    tower: TwoTower,
    documents: Sequence[str],
    *,
    batch_tokens: int | Literal["auto"] = "auto",
    advance: Callable[[int], None] = lambda n: None,
) -> Float32Array:
    """(documents, text_dim) vectors of unit length; equal documents are encoded once."""
    if not documents:
        return np.zeros((0, tower.shape.text_dim), np.float32)
    return encode(tower.text, documents, batch_tokens=batch_tokens, advance=advance)


def item_vectors(tower: TwoTower, artwork_ids: Sequence[str], text: Float32Array) -> Float32Array:
    """(works, dim) from text vectors in the same order; works that training did not know get the unknown-id vector."""
    rows = tower.rows_of(list(artwork_ids))
    blocks = [np.zeros((0, tower.shape.dim), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(rows), WORKS_IN_BLOCK):
            some = slice(start, start + WORKS_IN_BLOCK)
            blocks.append(tower.works(torch.from_numpy(np.array(text[some])), rows[some]).numpy())
    return np.concatenate(blocks)


def user_vectors(
    tower: TwoTower,
    people: pl.DataFrame,
    histories: pl.DataFrame,
    artwork_ids: Sequence[str],
    works: Float32Array,
    text_of: Callable[[list[str]], Float32Array] | None = None,
) -> Float32Array:
    """(people, dim) in the order of `people` (USER_ID, INTERESTS); HISTORY rows of others are not read.

    `works` (works, dim) are `item_vectors` of `artwork_ids`. Somebody with neither history nor interests gets the vector
    that training learned for everyone's beginning. `text_of` looks up the text vectors of stated interests, where they
    are known; else they are encoded.
    """
    user_ids = people[USER_ID].to_list()
    if not user_ids:
        return np.zeros((0, tower.shape.dim), np.float32)
    stated, interest_of = distinct_interests(people)
    known = text_of is not None and len(stated) > 0
    interests = torch.from_numpy(text_of(stated) if known else text_vectors(tower, stated))  # type: ignore[misc]
    told = sequences(histories.filter(pl.col(USER_ID).is_in(people[USER_ID].implode())), user_ids, list(artwork_ids))
    # Without a catalogue there is nothing to look up, and nobody has a history.
    vectors = torch.from_numpy(works) if len(works) else torch.zeros(1, tower.shape.dim)
    with torch.inference_mode():
        return user_states(tower, vectors, interests, interest_of, told, np.arange(len(user_ids))).numpy()


def distinct_interests(people: pl.DataFrame) -> tuple[list[str], Int64Array]:
    """The distinct stated interests, sorted, and the row of each person's among them, -1 for none."""
    given = [(text or "").strip() for text in people[INTERESTS].to_list()]
    stated = sorted({text for text in given if text})
    where = {text: row for row, text in enumerate(stated)}
    return stated, np.array([where.get(text, NO_WORK) for text in given], np.int64)
