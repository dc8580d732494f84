"""Six artworks and four users as the tables of a run.

Artworks a1, a2, a3 are of the Tate and point one way; b1, b2, b3 are of the Prado and point the other way. Ann likes
a1. Bob bought b1 and looked at b3. Cleo has no history but states an interest. Of Dan nothing is known.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from artrec_core.columns import LAKE, conform
from artrec_core.recs.inputs.scoring_data import ScoringData, ScoringTables

DAY = "2026-03-30"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ARTWORK_VECTORS = {"a1": (1.0, 0.0), "a2": (0.9, 0.1), "a3": (0.8, 0.3), "b1": (0.0, 1.0), "b2": (0.1, 0.9), "b3": (0.3, 0.8)}  # fmt: skip
USER_VECTORS = {"ann": (1.0, 0.0), "bob": (0.0, 1.0), "cleo": (0.1, 1.0), "dan": (0.5, 0.5)}
CREATORS = {"a1": "Anna", "a2": "Anna", "a3": "Carl", "b1": "Bo", "b2": "Bo", "b3": "Unknown artist"}
ARTWORK_IDS, USER_IDS = list(ARTWORK_VECTORS), list(USER_VECTORS)


def catalogue() -> pl.DataFrame:
    """CATALOGUE, not in the order of ids."""
    ids = ARTWORK_IDS[::-1]
    return conform(
        pl.DataFrame(
            {
                "artwork_id": ids,
                "title": [f"Work {artwork_id}" for artwork_id in ids],
                "source": ["tate" if artwork_id[0] == "a" else "prado" for artwork_id in ids],
                "museum": ["Tate" if artwork_id[0] == "a" else "Prado" for artwork_id in ids],
                "movement": ["Realism" if artwork_id[0] == "a" else "Cubism" for artwork_id in ids],
                "content_hash": [f"hash {artwork_id}" for artwork_id in ids],
                "creators": [[{"name": CREATORS[artwork_id]}] for artwork_id in ids],
                "year_from": [1900 + row for row in range(len(ids))],
            }
        ),
        LAKE["catalogue"],
    )


def history(*events: tuple[str, str, str], simulated: bool = False) -> pl.DataFrame:
    """HISTORY of (user, artwork, kind); views are seen only, a dismissal is negative, other kinds are positive."""
    rows = [
        {
            "user_id": user_id, "artwork_id": artwork_id, "kind": kind, "occurred_at": NOON,
            "positive": kind not in ("view", "dismiss"), "negative": kind == "dismiss", "seen": True, "simulated": simulated,
        }
        for user_id, artwork_id, kind in events
    ]  # fmt: skip
    return conform(pl.DataFrame(rows), LAKE["histories"]) if rows else pl.DataFrame(schema=LAKE["histories"])


def users(*user_ids: str, interests: dict[str, str] | None = None, simulated: tuple[str, ...] = ()) -> pl.DataFrame:
    """USER rows of these users."""
    interest_by_user = {"cleo": "ballet, cubism"} if interests is None else interests
    return conform(
        pl.DataFrame(
            {
                "user_id": list(user_ids),
                "interests": pl.Series([interest_by_user.get(user_id) for user_id in user_ids], dtype=pl.String),
                "simulated": [user_id in simulated for user_id in user_ids],
            }
        ),
        LAKE["people"],
    )


def vector_rows(table: str, **columns: Any) -> pl.DataFrame:
    """Rows of a table of vectors."""
    return conform(pl.DataFrame(columns), LAKE[table])


def tables(**changes: Any) -> ScoringTables:
    """The tables of the run; `changes` replace some of them."""
    vectors = [list(vector) for vector in ARTWORK_VECTORS.values()]
    defaults: dict[str, Any] = {
        "day": DAY,
        "catalogue": catalogue(),
        "people": users(*USER_IDS[::-1]),
        "histories": history(("ann", "a1", "like"), ("bob", "b1", "purchase"), ("bob", "b3", "view"), ("bob", "gone", "like")),
        "item_vectors": vector_rows("item_vectors", artwork_id=ARTWORK_IDS, model_version="3", vector=vectors),
        "user_vectors": vector_rows(
            "user_vectors", user_id=USER_IDS, model_version="3", vector=[list(vector) for vector in USER_VECTORS.values()]
        ),
        "text_vectors": vector_rows(
            "text_vectors", text_tower="t", content_hash=[f"hash {artwork_id}" for artwork_id in ARTWORK_IDS],
            vector=[[*vector, 1.0] for vector in vectors],
        ),
        "interest_vectors": vector_rows(
            "interest_vectors", text_tower="t", interests=["ballet, cubism"], vector=[[0.1, 1.0, 1.0]]
        ),
    }  # fmt: skip
    return ScoringTables(**(defaults | changes))


def scoring_data(**changes: Any) -> ScoringData:
    """The arrays of the run."""
    return ScoringData(tables(**changes))


def lists(rows: pl.DataFrame, key: str, value: str) -> dict[str, list[str]]:
    """The values of each key, in the order of the rows."""
    return {name: part[value].to_list() for (name,), part in rows.group_by(key, maintain_order=True)}


def crowd(user_count: int = 40, artwork_count: int = 60, seed: int = 0) -> ScoringData:
    """Random users and artworks of six creators and three sources; every third user has no history."""
    rng = np.random.default_rng(seed)
    artwork_ids, user_ids = (
        [f"w{row:03d}" for row in range(artwork_count)],
        [f"u{row:03d}" for row in range(user_count)],
    )
    artworks = pl.DataFrame(
        {
            "artwork_id": artwork_ids,
            "title": [f"Work {artwork_id}" for artwork_id in artwork_ids],
            "source": [f"source {number}" for number in rng.integers(0, 3, artwork_count)],
            "movement": [f"movement {number}" for number in rng.integers(0, 4, artwork_count)],
            "creators": [[{"name": f"Maker {number}"}] for number in rng.integers(0, 6, artwork_count)],
            "content_hash": artwork_ids,
        }
    )
    events = [
        (user_id, artwork_ids[artwork], "like" if artwork % 2 else "view")
        for row, user_id in enumerate(user_ids)
        if row % 3
        for artwork in rng.permutation(artwork_count)[:5]
    ]
    vectors = {name: rng.standard_normal((count, 4)).round(3).tolist() for name, count in (("item", artwork_count), ("user", user_count))}  # fmt: skip
    return scoring_data(
        catalogue=conform(artworks, LAKE["catalogue"]),
        people=users(*user_ids, interests={}),
        histories=history(*events),
        item_vectors=vector_rows("item_vectors", artwork_id=artwork_ids, model_version="3", vector=vectors["item"]),
        user_vectors=vector_rows("user_vectors", user_id=user_ids, model_version="3", vector=vectors["user"]),
        text_vectors=vector_rows(
            "text_vectors", text_tower="t", content_hash=artwork_ids, vector=rng.standard_normal((artwork_count, 3)).tolist()
        ),
        interest_vectors=None,
    )  # fmt: skip
