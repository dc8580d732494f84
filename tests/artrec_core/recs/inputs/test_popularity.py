"""Popular artworks of a small catalogue: two museums, one movement, and one artwork with neither."""

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, CATALOGUE, HISTORY, MOVEMENT, MUSEUM, POSITIVE, USER_ID, conform
from artrec_core.recs.inputs.popularity import popular_artworks, users_per_artwork, varied_order

ARTWORKS = conform(
    pl.DataFrame(
        {
            ARTWORK_ID: ["a", "b", "c", "d", "e"],
            MUSEUM: ["Tate", "Tate", "Louvre", "Louvre", None],
            MOVEMENT: ["Cubism", "Cubism", "Cubism", None, None],
        }
    ),
    CATALOGUE,
)
USERS = np.array([3, 2, 2, 1, 0], np.float32)


def test_popularity_counts_users_not_events() -> None:
    events = pl.DataFrame(
        {USER_ID: ["u", "u", "v", "v"], ARTWORK_ID: ["a", "a", "a", "b"], POSITIVE: [True, True, True, False]}
    )
    assert users_per_artwork(conform(events, HISTORY), ARTWORKS[ARTWORK_ID]).tolist() == [2, 0, 0, 0, 0]


def test_segments_hold_their_most_popular_artworks() -> None:
    rows = popular_artworks(ARTWORKS, USERS, 2).rows()
    assert rows == [
        ("movement:Cubism", 1, "a", 3),
        ("movement:Cubism", 2, "b", 2),
        ("museum:Louvre", 1, "c", 2),
        ("museum:Louvre", 2, "d", 1),
        ("museum:Tate", 1, "a", 3),
        ("museum:Tate", 2, "b", 2),
        ("overall", 1, "a", 3),
        ("overall", 2, "b", 2),
    ]


def test_the_varied_order_takes_groups_in_turn() -> None:
    # First round: a of Cubism, d of the Louvre, e without a group. Second round: b. Third round: c.
    assert varied_order(ARTWORKS, USERS).tolist() == [0, 3, 4, 1, 2]
