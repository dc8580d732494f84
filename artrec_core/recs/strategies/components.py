"""The components of a strategy: what a score is the sum of."""

from collections.abc import Iterator

import numpy as np

from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.interaction_models import Als
from artrec_core.recs.strategies.folding import Component

# Freshness halves after so many days in the catalogue.
FRESH_HALF_LIFE_DAYS = 30.0


def build_components(data: ScoringData, names: set[str]) -> Iterator[Component]:
    """Yield the components of these names, out of text, history, collaborative, freshness and popularity."""
    builders = {
        "text": text_component,
        "history": history_component,
        "collaborative": collaborative_component,
        "freshness": freshness_component,
        "popularity": popularity_component,
    }
    return (build(data) for name, build in builders.items() if name in names)


def text_component(data: ScoringData) -> Component:
    """Text vectors of artworks against a user's taste in texts.

    The taste is the mean text vector of the user's positive artworks. Users without any have the text vector of their
    stated interests.
    """
    counts = np.diff(data.positive_pairs.indptr)[:, None]
    means = np.asarray(data.positive_pairs @ data.text_items / np.maximum(counts, 1), np.float32)
    return Component("text", data.text_items, np.where(counts > 0, means, data.text_interests))


def history_component(data: ScoringData) -> Component:
    """Artwork vectors against the vectors of the user tower."""
    return Component("history", data.item_vectors, data.user_vectors)


def collaborative_component(data: ScoringData) -> Component:
    """ALS factors without their last dimension.

    That dimension is a popularity score for users without history. Here such users get lists of popular artworks.
    """
    model = Als().fit(data.positive_pairs)
    return Component("collaborative", model.item_vectors[:, :-1].copy(), model.user_vectors[:, :-1].copy())


def freshness_component(data: ScoringData) -> Component:
    """How new an artwork is: 1 on its first day in the catalogue, halved every `FRESH_HALF_LIFE_DAYS`."""
    return Component("freshness", (0.5 ** (data.freshness_days / FRESH_HALF_LIFE_DAYS)).astype(np.float32)[:, None])


def popularity_component(data: ScoringData) -> Component:
    """log(1 + n), where n users have a positive event with the artwork."""
    return Component("popularity", np.log1p(data.users_per_artwork)[:, None])
