"""Two tribes and their works as a question with its answers; worlds that differ in nothing but the test works."""

from dataclasses import replace

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, CATALOGUE, DOCUMENT, POSITIVE, USER, USER_ID, conform
from artrec_core.data.holdout import Holdout, leave_one_out
from artrec_core.evaluation.task import Question
from tests.artrec_core.model.worlds import WORDS, history

WORKS, PEOPLE, EACH = 24, 16, 8
ARTWORK_IDS = [f"w{row:02d}" for row in range(WORKS)]
USER_IDS = [f"p{person:02d}" for person in range(PEOPLE)]


def tribes() -> pl.DataFrame:
    """HISTORY: even people like eight of the even works, odd people of the odd ones."""
    random = np.random.default_rng(0)
    return history(
        [
            (user, ARTWORK_IDS[work], "like", minute, True)
            for person, user in enumerate(USER_IDS)
            for minute, work in enumerate(random.permutation(np.arange(person % 2, WORKS, 2))[:EACH])
        ]
    )


def with_other_tests(histories: pl.DataFrame) -> pl.DataFrame:
    """The same histories, but everyone's last positive event is with a work of the other tribe."""
    last = pl.int_range(pl.len()).over(USER_ID) == pl.len().over(USER_ID) - 1
    person = pl.col(USER_ID).str.slice(1).cast(pl.Int32)
    other = pl.format("w{}", ((person * 2 + 1 - person % 2) % WORKS).cast(pl.String).str.zfill(2))
    return histories.with_columns(pl.when(last & pl.col(POSITIVE)).then(other).otherwise(ARTWORK_ID).alias(ARTWORK_ID))


def catalogue() -> pl.DataFrame:
    """CATALOGUE: boats for the even people, horses for the odd ones; half of each hang in the North, half in the South."""
    documents = [f"the {'blue boat' if row % 2 == 0 else 'red horse'} {WORDS[5 + row // 2]}" for row in range(WORKS)]
    museums = ["North" if row < WORKS // 2 else "South" for row in range(WORKS)]
    columns = {ARTWORK_ID: ARTWORK_IDS, DOCUMENT: documents, "title": documents, "museum": museums, "source": "tribes"}
    return conform(pl.DataFrame(columns), CATALOGUE)


def people() -> pl.DataFrame:
    """USER: the first of each tribe says what it likes."""
    stated = ["blue boat", "red horse", *[None] * (PEOPLE - 2)]
    return conform(pl.DataFrame({USER_ID: USER_IDS, "interests": stated, "simulated": [True] * PEOPLE}), USER)


def question_of(
    histories: pl.DataFrame, *, hidden: list[str] | None = None, vectors: bool = False
) -> tuple[Question, Holdout]:
    """The question of these histories, and what was held out of them; `vectors` stand for a frozen text tower's."""
    held_out = leave_one_out(histories)
    queries = [("boat" if row % 2 == 0 else "horse", row) for row in range(WORKS)]
    question = Question.about(held_out, catalogue(), people(), queries, hidden=hidden)
    if vectors:
        tribes = np.random.default_rng(1).normal(size=(2, 32)).astype(np.float32)
        question = replace(
            question, text_vectors=tribes[[int("red horse" in text or text == "horse") for text in question.texts]]
        )
    return question, held_out
