"""A strategy folded into one vector a side, so that it costs one exact pass over all pairs.

The score of a pair is the sum over components of weight / spread x aligned product. `dot` leaves a component's vectors as they
are, `cosine` makes them unit long, `euclidean` scores -|u - v|^2 / 2, which two more dimensions turn into a product.
The spread puts components on one scale: it is the standard deviation of a component's scores over works within a person, root
mean square over people, on a seeded sample. A component that tells no works apart has no spread and adds nothing; so
does a component for somebody without a vector in it. Biases (freshness, popularity) are one dimension that everyone shares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from artrec_core.arrays import Float32Array, Float64Array, Int64Array

Alignment = Literal["dot", "cosine", "euclidean"]
PEOPLE_IN_SAMPLE = 512
WORKS_IN_SAMPLE = 2048


@dataclass(frozen=True)
class Component:
    """One reason for a score: vectors of people (U, d) and works (I, d), or a bias of works (I, 1) where `users` is None."""

    name: str
    items: Float32Array
    users: Float32Array | None = None


@dataclass(frozen=True)
class Personal:
    """A component's part of the people's side: vectors (U, d) as the component has them, and what they are multiplied by."""

    name: str
    users: Float32Array
    factor: float


@dataclass(frozen=True)
class Folding:
    """A strategy's vectors: `items` (I, D), and the people's for any slice of them."""

    items: Float32Array
    spreads: dict[str, float]
    personal_parts: tuple[Personal, ...]
    alignment: Alignment
    has_bias: bool

    @property
    def is_personal(self) -> bool:
        """Whether any part of the score depends on the person."""
        return bool(self.personal_parts)

    def users(self, begin: int, end: int) -> Float32Array:
        """Folded vectors of people begin..end, (end - begin, D)."""
        return self.users_of(np.arange(begin, end))

    def users_of(self, people: Int64Array) -> Float32Array:
        """Folded vectors of people by their rows, (people, D)."""
        parts = [aligned_users(one.users[people], self.alignment) * one.factor for one in self.personal_parts]
        if self.has_bias:
            parts.append(np.ones((len(people), 1)))
        return np.hstack([np.zeros((len(people), 0)), *parts]).astype(np.float32)

    def has_vector(self, begin: int, end: int) -> npt.NDArray[np.bool_]:
        """Whether each of people begin..end has a vector in any part, (end - begin,) bool."""
        return self.have_vectors(np.arange(begin, end))

    def have_vectors(self, people: Int64Array) -> npt.NDArray[np.bool_]:
        """Whether each of people by their rows has a vector in any part, (people,) bool."""
        known = np.zeros(len(people), bool)
        for one in self.personal_parts:
            known |= one.users[people].any(axis=1)
        return known

    def with_people(self, users: Mapping[str, Float32Array]) -> "Folding":
        """The same strategy for other people: their vectors of every component that depends on the person."""
        return replace(self, personal_parts=tuple(replace(one, users=users[one.name]) for one in self.personal_parts))


def fold(
    components: Sequence[Component], weights: Mapping[str, float], alignment: Alignment = "dot", *, seed: int = 0
) -> Folding:
    """Fold the components that have a weight other than zero.

    Raises `ValueError` where a weighted component is not among `components`.
    """
    given = {component.name: component for component in components}
    wanted = {name: weight for name, weight in weights.items() if weight}
    if unknown := sorted(wanted.keys() - given.keys()):
        raise ValueError(f"no component is called {unknown[0]!r}; there are {', '.join(sorted(given))}")
    spreads = {name: spread(given[name], alignment, seed=seed) for name in wanted}
    used = {name: wanted[name] / spreads[name] for name in wanted if spreads[name] > 0}
    personal = [name for name in used if given[name].users is not None]
    biases = [given[name].items.astype(np.float64) * used[name] for name in used if name not in personal]
    works = len(next(iter(given.values())).items) if given else 0
    parts = [np.zeros((works, 0)), *(aligned_items(given[name].items, alignment) for name in personal)]
    if biases:
        parts.append(np.sum(biases, axis=0))
    pairs = ((name, given[name].users, used[name]) for name in personal)
    return Folding(
        items=np.hstack(parts).astype(np.float32),
        spreads=spreads,
        personal_parts=tuple(Personal(name, users, factor) for name, users, factor in pairs if users is not None),
        alignment=alignment,
        has_bias=bool(biases),
    )


def spread(component: Component, alignment: Alignment, *, seed: int = 0) -> float:
    """The standard deviation of a component's scores over works within a person; 0 where it tells no works apart."""
    rng = np.random.default_rng(seed)
    works = _sample(len(component.items), WORKS_IN_SAMPLE, rng)
    if component.users is None:
        scores = component.items.astype(np.float64).T
    else:
        known = np.flatnonzero(component.users.any(axis=1))
        people = component.users[known[_sample(len(known), PEOPLE_IN_SAMPLE, rng)]]
        scores = aligned_users(people, alignment) @ aligned_items(component.items[works], alignment).T
    if scores.size == 0:
        return 0.0
    found = float(np.sqrt(np.var(scores, axis=1).mean()))
    return found if found > 1e-9 * float(np.abs(scores).max()) else 0.0


def aligned_users(users: Float32Array, alignment: Alignment) -> Float64Array:
    """People's side of an aligned product, (U, d) or for euclidean (U, d + 2), float64; zero vectors stay zero."""
    wide = users.astype(np.float64)
    if alignment == "cosine":
        return _units(wide)
    if alignment == "euclidean":
        known = wide.any(axis=1, keepdims=True)
        return np.hstack([wide, known, -(wide**2).sum(axis=1, keepdims=True) / 2])
    return wide


def aligned_items(items: Float32Array, alignment: Alignment) -> Float64Array:
    """Works' side of an aligned product, (I, d) or for euclidean (I, d + 2), float64."""
    wide = items.astype(np.float64)
    if alignment == "cosine":
        return _units(wide)
    if alignment == "euclidean":
        return np.hstack([wide, -(wide**2).sum(axis=1, keepdims=True) / 2, np.ones((len(wide), 1))])
    return wide


def _units(vectors: Float64Array) -> Float64Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Float64Array = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def _sample(many: int, most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.arange(many) if many <= most else np.sort(rng.choice(many, most, replace=False))
