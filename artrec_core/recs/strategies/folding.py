"""A strategy's components folded into one vector per side, so that a strategy costs one exact pass over all pairs.

The score of a pair is the sum over components of weight / spread x aligned product. Alignments: `dot` takes a
component's vectors as they are. `cosine` scales them to unit length. `euclidean` scores -|u - v|^2 / 2, which two
more dimensions turn into an inner product.

The spread puts components on one scale. It is the standard deviation of a component's scores over artworks within a
user, as a root mean square over users, on a seeded sample. A component that gives all artworks the same score has
spread 0 and adds nothing. A component also adds nothing for users without a vector in it. Biases (freshness,
popularity) share one dimension, in which every user has 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from artrec_core.arrays import BoolArray, Float32Array, Float64Array, Int64Array

Alignment = Literal["dot", "cosine", "euclidean"]
USERS_IN_SAMPLE = 512
ITEMS_IN_SAMPLE = 2048


@dataclass(frozen=True)
class Component:
    """One term of a score: vectors of users (U, d) and items (I, d), or a bias of items (I, 1) if `users` is None."""

    name: str
    items: Float32Array
    users: Float32Array | None = None


@dataclass(frozen=True)
class PersonalPart:
    """A component's part of the user side: the component's own vectors (U, d) and the factor that multiplies them."""

    name: str
    users: Float32Array
    factor: float


@dataclass(frozen=True)
class Folding:
    """A folded strategy: the vectors of all items, (I, D), and what the vectors of any users are made from."""

    items: Float32Array
    spreads: dict[str, float]
    personal_parts: tuple[PersonalPart, ...]
    alignment: Alignment
    has_bias: bool

    @property
    def is_personal(self) -> bool:
        """Whether any part of the score depends on the user."""
        return bool(self.personal_parts)

    def users(self, begin: int, end: int) -> Float32Array:
        """Folded vectors of users begin..end, (end - begin, D)."""
        return self.users_of(np.arange(begin, end))

    def users_of(self, rows: Int64Array) -> Float32Array:
        """Folded vectors of the users of these rows, (rows, D)."""
        parts = [align_users(part.users[rows], self.alignment) * part.factor for part in self.personal_parts]
        if self.has_bias:
            parts.append(np.ones((len(rows), 1)))
        return np.hstack([np.zeros((len(rows), 0)), *parts]).astype(np.float32)

    def have_vectors(self, rows: Int64Array) -> BoolArray:
        """Whether each of the users of these rows has a vector in any part, (rows,)."""
        has_vector = np.zeros(len(rows), bool)
        for part in self.personal_parts:
            has_vector |= part.users[rows].any(axis=1)
        return has_vector

    def with_users(self, vectors: Mapping[str, Float32Array]) -> "Folding":
        """The same strategy for other users, from their vectors in each personal component: {name: (U, d)}."""
        parts = tuple(replace(part, users=vectors[part.name]) for part in self.personal_parts)
        return replace(self, personal_parts=parts)


def fold(
    components: Sequence[Component], weights: Mapping[str, float], alignment: Alignment = "dot", *, seed: int = 0
) -> Folding:
    """Fold all components that have a weight other than zero.

    Parameters
    ----------
    components
        At least the weighted ones.
    weights
        Weight of each component, by name.
    alignment
        How vectors of both sides are compared.
    seed
        Seed of the samples that spreads are measured on.

    Raises
    ------
    ValueError
        If a weighted component is not among `components`.
    """
    by_name = {component.name: component for component in components}
    nonzero = {name: weight for name, weight in weights.items() if weight}
    if unknown_names := sorted(nonzero.keys() - by_name.keys()):
        raise ValueError(f"no component is called {unknown_names[0]!r}; there are {', '.join(sorted(by_name))}")
    spreads = {name: spread(by_name[name], alignment, seed=seed) for name in nonzero}
    factors = {name: nonzero[name] / spreads[name] for name in nonzero if spreads[name] > 0}
    personal = [name for name in factors if by_name[name].users is not None]
    biases = [by_name[name].items.astype(np.float64) * factors[name] for name in factors if name not in personal]
    item_count = len(next(iter(by_name.values())).items) if by_name else 0
    parts = [np.zeros((item_count, 0)), *(align_items(by_name[name].items, alignment) for name in personal)]
    if biases:
        parts.append(np.sum(biases, axis=0))
    user_parts = ((name, by_name[name].users, factors[name]) for name in personal)
    return Folding(
        items=np.hstack(parts).astype(np.float32),
        spreads=spreads,
        personal_parts=tuple(
            PersonalPart(name, users, factor) for name, users, factor in user_parts if users is not None
        ),
        alignment=alignment,
        has_bias=bool(biases),
    )


def spread(component: Component, alignment: Alignment, *, seed: int = 0) -> float:
    """The standard deviation of a component's scores over items within a user.

    It is 0 where the component gives all items the same score.

    Parameters
    ----------
    component
        The component, with vectors of all users and items.
    alignment
        How vectors of both sides are compared.
    seed
        Seed of the sample of users and items.
    """
    rng = np.random.default_rng(seed)
    items = _sample_rows(len(component.items), ITEMS_IN_SAMPLE, rng)
    if component.users is None:
        scores = component.items.astype(np.float64).T
    else:
        with_vector = np.flatnonzero(component.users.any(axis=1))
        users = component.users[with_vector[_sample_rows(len(with_vector), USERS_IN_SAMPLE, rng)]]
        scores = align_users(users, alignment) @ align_items(component.items[items], alignment).T
    if scores.size == 0:
        return 0.0
    deviation = float(np.sqrt(np.var(scores, axis=1).mean()))
    return deviation if deviation > 1e-9 * float(np.abs(scores).max()) else 0.0


def align_users(users: Float32Array, alignment: Alignment) -> Float64Array:
    """The user side of an aligned product, (U, d) or for euclidean (U, d + 2), float64. Zero vectors stay zero."""
    vectors = users.astype(np.float64)
    if alignment == "cosine":
        return _units(vectors)
    if alignment == "euclidean":
        has_vector = vectors.any(axis=1, keepdims=True)
        return np.hstack([vectors, has_vector, -(vectors**2).sum(axis=1, keepdims=True) / 2])
    return vectors


def align_items(items: Float32Array, alignment: Alignment) -> Float64Array:
    """The item side of an aligned product, (I, d) or for euclidean (I, d + 2), float64."""
    vectors = items.astype(np.float64)
    if alignment == "cosine":
        return _units(vectors)
    if alignment == "euclidean":
        return np.hstack([vectors, -(vectors**2).sum(axis=1, keepdims=True) / 2, np.ones((len(vectors), 1))])
    return vectors


def _units(vectors: Float64Array) -> Float64Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Float64Array = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def _sample_rows(count: int, limit: int, rng: np.random.Generator) -> Int64Array:
    return np.arange(count) if count <= limit else np.sort(rng.choice(count, limit, replace=False))
