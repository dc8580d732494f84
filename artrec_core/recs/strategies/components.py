"""The components of a strategy, made from a night's world."""

from collections.abc import Iterator

import numpy as np

from artrec_core.recs.inputs.scoring_data import ScoringData
from artrec_core.recs.interaction_models import Als
from artrec_core.recs.strategies.folding import Component

# A work is half as fresh after so many days in the catalogue.
FRESH_HALF_LIFE_DAYS = 30.0


def components(world: ScoringData, wanted: set[str]) -> Iterator[Component]:
    """The wanted ones of text, history, collaborative, freshness and popularity."""
    makers = {
        "text": text,
        "history": history,
        "collaborative": collaborative,
        "freshness": freshness,
        "popularity": popularity,
    }
    return (make(world) for name, make in makers.items() if name in wanted)


def text(world: ScoringData) -> Component:
    """What a work's text says, against the mean of the texts of a person's positive works, or what they said they like."""
    many = np.diff(world.positive_pairs.indptr)[:, None]
    of_works = np.asarray(world.positive_pairs @ world.text_items / np.maximum(many, 1), np.float32)
    return Component("text", world.text_items, np.where(many > 0, of_works, world.text_interests))


def history(world: ScoringData) -> Component:
    """The user tower against the artwork vectors."""
    return Component("history", world.item_vectors, world.user_vectors)


def collaborative(world: ScoringData) -> Component:
    """ALS factors, without the popularity that newcomers get from it: they have a way of their own."""
    model = Als().fit(world.positive_pairs)
    return Component("collaborative", model.item_vectors[:, :-1].copy(), model.user_vectors[:, :-1].copy())


def freshness(world: ScoringData) -> Component:
    """How new a work is to the catalogue: 1 on its first night, halved every `FRESH_HALF_LIFE_DAYS`."""
    return Component("freshness", (0.5 ** (world.freshness_days / FRESH_HALF_LIFE_DAYS)).astype(np.float32)[:, None])


def popularity(world: ScoringData) -> Component:
    """Log of one more than the people who took a work up."""
    return Component("popularity", np.log1p(world.users_per_artwork)[:, None])
