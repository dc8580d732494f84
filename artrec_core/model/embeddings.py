"""Vectors that a trained model gives: of documents, artworks and users."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch

from artrec_core.arrays import Float32Array
from artrec_core.columns import USER_ID
from artrec_core.data.people import distinct_interests
from artrec_core.model.run import VECTORS
from artrec_core.model.sequences import build_sequences
from artrec_core.model.text_encoder import encode
from artrec_core.model.training_data import TrainingData
from artrec_core.model.two_tower import TwoTower
from artrec_core.model.user_phase import encode_users

# 65,536 text vectors of 384 dimensions take 100 MB.
ARTWORKS_IN_BLOCK = 65536


def text_vectors(
    tower: TwoTower,
    documents: Sequence[str],
    *,
    batch_tokens: int | Literal["auto"] = "auto",
    advance: Callable[[int], None] = lambda count: None,
) -> Float32Array:
    """Text vectors of documents; equal documents are encoded once.

    Parameters
    ----------
    tower
        The trained model.
    documents
        The texts to encode.
    batch_tokens
        Tokens in a batch, padding included.
    advance
        Called with the number of documents encoded since the last call, to show progress.

    Returns
    -------
    Float32Array
        (documents, text_dim) vectors of unit length.
    """
    if not documents:
        return np.zeros((0, tower.shape.text_dim), np.float32)
    return encode(tower.text_encoder, documents, batch_tokens=batch_tokens, advance=advance)


def item_vectors(tower: TwoTower, artwork_ids: Sequence[str], text: Float32Array) -> Float32Array:
    """Artwork vectors from text vectors.

    Parameters
    ----------
    tower
        The trained model.
    artwork_ids
        The artworks; those that were not in the training data get the unknown id's vector.
    text
        (artworks, text_dim) text vectors in the order of `artwork_ids`.

    Returns
    -------
    Float32Array
        (artworks, dim).
    """
    id_rows = tower.id_rows(list(artwork_ids))
    blocks = [np.zeros((0, tower.shape.dim), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(id_rows), ARTWORKS_IN_BLOCK):
            block = slice(start, start + ARTWORKS_IN_BLOCK)
            blocks.append(tower.artwork_vectors(torch.from_numpy(np.array(text[block])), id_rows[block]).numpy())
    return np.concatenate(blocks)


def user_vectors(
    tower: TwoTower,
    users: pl.DataFrame,
    histories: pl.DataFrame,
    artwork_ids: Sequence[str],
    artworks: Float32Array,
    text_of: Callable[[list[str]], Float32Array] | None = None,
) -> Float32Array:
    """User vectors from histories and stated interests.

    A user with neither gets the vector that training learned for the start of every history.

    Parameters
    ----------
    tower
        The trained model.
    users
        Columns USER_ID and INTERESTS.
    histories
        HISTORY rows; those of users not in `users` are not read.
    artwork_ids
        The catalogue.
    artworks
        (artworks, dim) `item_vectors` of `artwork_ids`.
    text_of
        Returns the text vectors of stated interests. Without it, they are encoded.

    Returns
    -------
    Float32Array
        (users, dim), in the order of `users`.
    """
    user_ids = users[USER_ID].to_list()
    if not user_ids:
        return np.zeros((0, tower.shape.dim), np.float32)
    texts, interest_of = distinct_interests(users)
    interests = torch.from_numpy(text_of(texts) if text_of is not None and texts else text_vectors(tower, texts))
    own_histories = histories.filter(pl.col(USER_ID).is_in(users[USER_ID].implode()))
    sequences = build_sequences(own_histories, user_ids, list(artwork_ids))
    # An empty catalogue gets one vector that no history refers to.
    vectors = torch.from_numpy(artworks) if len(artworks) else torch.zeros(1, tower.shape.dim)
    with torch.inference_mode():
        return encode_users(tower, vectors, interests, interest_of, sequences, np.arange(len(user_ids))).numpy()


def trained_text_vectors(data: TrainingData, folder: Path) -> Float32Array:
    """Vectors (texts, text_dim) of `data.texts` after a training: given with the data, or left in the run's folder."""
    if data.text_vectors is not None:
        return data.text_vectors
    return np.asarray(np.load(folder / VECTORS, mmap_mode="r"))


def text_lookup(texts: Sequence[str], vectors: Float32Array) -> Callable[[list[str]], Float32Array]:
    """A `text_of` for `user_vectors` that looks vectors up: `vectors` (texts, text_dim) are those of `texts`."""
    rows = {text: row for row, text in enumerate(texts)}
    return lambda wanted_texts: np.array(vectors[[rows[text] for text in wanted_texts]], np.float32)
