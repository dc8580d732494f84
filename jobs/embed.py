"""embed: vectors of artworks and users from the champion. Only what changed is encoded again."""

from typing import TYPE_CHECKING, Any

import polars as pl

from artrec_core.columns import (
    ARTWORK_ID,
    CONTENT_HASH,
    DOCUMENT,
    HISTORY_HASH,
    INTEREST_VECTOR,
    INTERESTS,
    KIND,
    MODEL_VERSION,
    NEGATIVE,
    OCCURRED_AT,
    POSITIVE,
    SEEN,
    TEXT_TOWER,
    USER_ID,
    USER_VECTOR,
    VECTOR,
    conform,
)
from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import Part
from jobs.embedding.documents import CHAMPION, ROWS_IN_PART, complete_days, digest_values, encode_documents
from jobs.progress import progress
from jobs.step import Figures, Night, Step, main

if TYPE_CHECKING:
    from artrec_core.arrays import Float32Array
    from artrec_core.model.registry import Version
    from artrec_core.model.two_tower import TwoTower

# Functions import the model's modules themselves: those load torch, which takes seconds.

INPUTS = ("catalogue", "histories", "people")
TABLES = ("text_vectors", "interest_vectors", "item_vectors", "user_vectors")
USERS_IN_SHARD = 16384


def inputs(night: Night) -> dict[str, str]:
    """Digests of the night's tables and of the champion."""
    digests = {f"{table}@{night.day}": night.lake.manifest(table, night.day).digest for table in INPUTS}
    return digests | {CHAMPION: champion(night).model_digest}


def settings(recipe: Recipe) -> list[Any]:
    """What the vectors depend on besides the model. The model stores its own settings."""
    return [recipe.encode]


def run(night: Night) -> Figures:
    """Make the vectors of documents, artworks, stated interests and users, and commit them."""
    import torch

    from artrec_core.model.registry import Registry
    from artrec_core.model.two_tower import TwoTower
    from artrec_core.recs.inputs.arrays import vectors_of

    if night.recipe.encode.threads is not None:
        torch.set_num_threads(night.recipe.encode.threads)
    version = champion(night)
    tower = TwoTower.load(Registry(night.recipe.store).fetch(version))
    catalogue = night.lake.read("catalogue", night.day).sort(ARTWORK_ID)
    text_parts, documents_encoded, documents_reused = encode_documents(night, tower, tower.text_tower_digest, catalogue)
    table = night.lake.read_parts("text_vectors", night.day, [part for parts in text_parts.values() for part in parts])
    document_vectors, _ = vectors_of(catalogue[CONTENT_HASH], table.select(CONTENT_HASH, VECTOR), CONTENT_HASH)
    item_parts, artwork_vectors = _embed_artworks(night, tower, version, catalogue, document_vectors)
    interest_parts, interest_vectors = _embed_interests(night, tower)
    user_parts, users_encoded, users_reused = _embed_users(
        night, tower, version, catalogue, artwork_vectors, interest_vectors
    )
    figures: Figures = {
        "model_version": version.name,
        "documents_encoded": documents_encoded,
        "documents_reused": documents_reused,
        "artworks": catalogue.height,
        "people_encoded": users_encoded,
        "people_reused": users_reused,
    }
    night.commit("text_vectors", text_parts, figures, version.name)
    night.commit("interest_vectors", interest_parts, figures, version.name)
    night.commit("item_vectors", item_parts, figures, version.name)
    night.commit("user_vectors", user_parts, figures, version.name)
    return figures


def champion(night: Night) -> "Version":
    """The version that serves this night. Raises `ArtrecError` if there is none."""
    from artrec_core.model.registry import Registry

    version = Registry(night.recipe.store).champion()
    if version is None:
        raise ArtrecError(f"there is no champion to make vectors with; run `artrec train --date {night.day}` first")
    return version


def _embed_artworks(
    night: Night, tower: "TwoTower", version: "Version", catalogue: pl.DataFrame, document_vectors: "Float32Array"
) -> tuple[dict[str, list[Part]], "Float32Array"]:
    """The parts of item_vectors, and the same vectors (artworks, dim) in the catalogue's order."""
    from artrec_core.model.embeddings import item_vectors

    vectors = item_vectors(tower, catalogue[ARTWORK_ID].to_list(), document_vectors)
    rows = catalogue.select(
        ARTWORK_ID,
        pl.lit(version.name).alias(MODEL_VERSION),
        pl.Series(VECTOR, vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])).cast(pl.List(pl.Float32)),
    )
    parts = [night.lake.write_part("item_vectors", night.day, piece) for piece in rows.iter_slices(ROWS_IN_PART)]
    return {"all": parts}, vectors


def _embed_interests(night: Night, tower: "TwoTower") -> tuple[dict[str, list[Part]], pl.DataFrame]:
    """The parts and rows of interest_vectors, one row for each distinct statement.

    Vectors that the same text tower made on an earlier night are taken over.
    """
    from artrec_core.data.people import distinct_interests
    from artrec_core.model.embeddings import text_vectors

    texts, _ = distinct_interests(night.lake.read("people", night.day))
    statements = pl.DataFrame({INTERESTS: texts}, schema={INTERESTS: pl.String})
    frames = [pl.DataFrame(schema={INTERESTS: pl.String, VECTOR: pl.List(pl.Float32)})]
    frames += [
        night.lake.read("interest_vectors", day)
        .filter(pl.col(TEXT_TOWER) == tower.text_tower_digest)
        .select(INTERESTS, VECTOR)
        for day in complete_days(night, "interest_vectors")
    ]
    reused_rows = statements.join(pl.concat(frames).unique(INTERESTS, keep="first"), on=INTERESTS)
    new_rows = statements.join(reused_rows, on=INTERESTS, how="anti")
    vectors: list[Any] = list(text_vectors(tower, new_rows[INTERESTS].to_list())) if new_rows.height else []
    new_rows = new_rows.with_columns(pl.Series(VECTOR, vectors, dtype=pl.List(pl.Float32)).cast(pl.List(pl.Float32)))
    rows = pl.concat([reused_rows, new_rows]).sort(INTERESTS)
    rows = conform(rows.with_columns(pl.lit(tower.text_tower_digest).alias(TEXT_TOWER)), INTEREST_VECTOR)
    return {"all": [night.lake.write_part("interest_vectors", night.day, rows)]}, rows


def _embed_users(
    night: Night,
    tower: "TwoTower",
    version: "Version",
    catalogue: pl.DataFrame,
    artwork_vectors: "Float32Array",
    interest_vectors: pl.DataFrame,
) -> tuple[dict[str, list[Part]], int, int]:
    """The parts of user_vectors, and how many users were encoded now and how many were taken over."""
    from artrec_core.data.people import all_users
    from artrec_core.model.embeddings import user_vectors
    from artrec_core.recs.inputs.arrays import vectors_of

    def vectors_of_interests(texts: list[str]) -> Any:
        return vectors_of(pl.Series(texts), interest_vectors, INTERESTS)[0]

    histories = night.lake.read("histories", night.day)
    users = all_users(night.lake.read("people", night.day), histories)
    users = users.with_columns(_history_hashes(users, histories, catalogue))
    earlier = _earlier_user_vectors(night, version.model_digest)
    keys = [USER_ID, HISTORY_HASH]
    reused_rows = users.join(earlier, on=keys, how="inner", maintain_order="left")
    new_users = users.join(earlier, on=keys, how="anti", maintain_order="left")
    parts: dict[str, list[Part]] = {}
    if reused_rows.height:
        rows = conform(reused_rows.with_columns(pl.lit(version.name).alias(MODEL_VERSION)), USER_VECTOR)
        parts["reused"] = [night.lake.write_part("user_vectors", night.day, rows)]
    with progress("encode users", new_users.height) as advance:
        for number, shard in enumerate(new_users.iter_slices(USERS_IN_SHARD)):
            artwork_ids = catalogue[ARTWORK_ID].to_list()
            vectors = user_vectors(tower, shard, histories, artwork_ids, artwork_vectors, vectors_of_interests)
            rows = shard.with_columns(
                pl.lit(version.name).alias(MODEL_VERSION), pl.Series(VECTOR, list(vectors), dtype=pl.List(pl.Float32))
            )
            part = night.lake.write_part("user_vectors", night.day, conform(rows, USER_VECTOR))
            parts[f"encoded-{number:06d}"] = [part]
            advance(shard.height)
    return parts, new_users.height, reused_rows.height


def _history_hashes(users: pl.DataFrame, histories: pl.DataFrame, catalogue: pl.DataFrame) -> pl.Series:
    """A digest of what decides each user's vector besides the model: events, the documents of their artworks, interests."""
    documents = catalogue.select(ARTWORK_ID, pl.col(DOCUMENT).alias("_document"))
    columns = (ARTWORK_ID, KIND, OCCURRED_AT, POSITIVE, NEGATIVE, SEEN, "_document")
    event_texts = (
        histories.join(documents, on=ARTWORK_ID, how="left", maintain_order="left")
        .select(
            USER_ID,
            pl.concat_str([pl.col(column).cast(pl.String).fill_null("\0") for column in columns], separator="\1").alias(
                "_events"
            ),
        )
        .group_by(USER_ID)
        .agg(pl.col("_events").str.join("\2"))
    )
    rows = users.join(event_texts, on=USER_ID, how="left", maintain_order="left")
    digests = [
        digest_values([events, interests]) for events, interests in rows.select("_events", INTERESTS).iter_rows()
    ]
    return pl.Series(HISTORY_HASH, digests, dtype=pl.String)


def _earlier_user_vectors(night: Night, model_digest: str) -> pl.DataFrame:
    """USER_ID, HISTORY_HASH, VECTOR of this model, from this night and the nights before."""
    frames = [pl.DataFrame(schema={USER_ID: pl.String, HISTORY_HASH: pl.String, VECTOR: pl.List(pl.Float32)})]
    frames += [
        night.lake.read("user_vectors", day).select(USER_ID, HISTORY_HASH, VECTOR)
        for day in complete_days(night, "user_vectors")
        if night.lake.manifest("user_vectors", day).made_from.get(CHAMPION) == model_digest
    ]
    return pl.concat(frames).unique([USER_ID, HISTORY_HASH], keep="first", maintain_order=True)


STEP = Step(
    name="embed",
    help="Turn artworks and users into vectors; only what changed is encoded again.",
    outputs=TABLES,
    inputs=inputs,
    settings=settings,
    run=run,
)

if __name__ == "__main__":
    main(STEP)
