"""Two tribes of users and their artworks as an evaluation task, and histories that differ only in the test artworks."""

from dataclasses import replace

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, CATALOGUE, CONTENT_HASH, DOCUMENT, POSITIVE, USER, USER_ID, conform
from artrec_core.data.holdout import Holdout, leave_one_out
from artrec_core.evaluation.task import EvaluationTask
from artrec_core.model.training_split import TrainingSplit
from tests.artrec_core.model.worlds import WORDS, history

ARTWORK_COUNT, USER_COUNT, EVENTS_PER_USER = 24, 16, 8
ARTWORK_IDS = [f"w{row:02d}" for row in range(ARTWORK_COUNT)]
USER_IDS = [f"p{user:02d}" for user in range(USER_COUNT)]


def tribes() -> pl.DataFrame:
    """HISTORY: even users like eight of the even artworks, odd users eight of the odd ones."""
    random = np.random.default_rng(0)
    return history(
        [
            (user_id, ARTWORK_IDS[artwork], "like", minute, True)
            for user, user_id in enumerate(USER_IDS)
            for minute, artwork in enumerate(
                random.permutation(np.arange(user % 2, ARTWORK_COUNT, 2))[:EVENTS_PER_USER]
            )
        ]
    )


def with_other_tests(histories: pl.DataFrame) -> pl.DataFrame:
    """The same histories, but each user's last positive event is with an artwork of the other tribe."""
    is_last = pl.int_range(pl.len()).over(USER_ID) == pl.len().over(USER_ID) - 1
    user = pl.col(USER_ID).str.slice(1).cast(pl.Int32)
    other_artwork = pl.format("w{}", ((user * 2 + 1 - user % 2) % ARTWORK_COUNT).cast(pl.String).str.zfill(2))
    return histories.with_columns(
        pl.when(is_last & pl.col(POSITIVE)).then(other_artwork).otherwise(ARTWORK_ID).alias(ARTWORK_ID)
    )


def catalogue() -> pl.DataFrame:
    """CATALOGUE: boats for the even users, horses for the odd ones; half of each are in the museum North, half in South."""
    documents = [
        f"the {'blue boat' if row % 2 == 0 else 'red horse'} {WORDS[5 + row // 2]}" for row in range(ARTWORK_COUNT)
    ]
    museums = ["North" if row < ARTWORK_COUNT // 2 else "South" for row in range(ARTWORK_COUNT)]
    columns = {
        ARTWORK_ID: ARTWORK_IDS,
        DOCUMENT: documents,
        CONTENT_HASH: ARTWORK_IDS,
        "title": documents,
        "museum": museums,
        "source": "tribes",
    }
    return conform(pl.DataFrame(columns), CATALOGUE)


def users() -> pl.DataFrame:
    """USER: the first user of each tribe states an interest."""
    stated = ["blue boat", "red horse", *[None] * (USER_COUNT - 2)]
    return conform(pl.DataFrame({USER_ID: USER_IDS, "interests": stated, "simulated": [True] * USER_COUNT}), USER)


def task_of(
    histories: pl.DataFrame, *, hidden: list[str] | None = None, vectors: bool = False
) -> tuple[EvaluationTask, Holdout]:
    """The task of these histories and its holdout; with `vectors`, the task has text vectors for a frozen text tower."""
    held_out = leave_one_out(histories)
    queries = [("boat" if row % 2 == 0 else "horse", row) for row in range(ARTWORK_COUNT)]
    split = TrainingSplit(catalogue(), users(), held_out)
    task = replace(EvaluationTask.from_split(split, hidden_ids=hidden), queries=queries)
    if vectors:
        tribe_vectors = np.random.default_rng(1).normal(size=(2, 32)).astype(np.float32)
        task = replace(
            task, text_vectors=tribe_vectors[[int("red horse" in text or text == "horse") for text in task.texts]]
        )
    return task, held_out
