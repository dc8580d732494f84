"""embed: vectors of artworks and people from the champion; only what changed is encoded again."""

from typing import TYPE_CHECKING, Any

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import Part
from jobs.embedding.documents import CHAMPION, ROWS_IN_PART, digest_values, encode_documents, whole_days
from jobs.progress import progress
from jobs.step import Figures, Night, Step, main

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.model.registry import Version
    from artrec_core.model.two_tower import TwoTower

INPUTS = ("catalogue", "histories", "people")
TABLES = ("text_vectors", "interest_vectors", "item_vectors", "user_vectors")
PEOPLE_IN_SHARD = 16384


def inputs(night: Night) -> dict[str, str]:
    """The night's tables, and which model the champion is."""
    found = {f"{table}@{night.day}": night.lake.manifest(table, night.day).digest for table in INPUTS}
    return found | {CHAMPION: champion(night).model_digest}


def settings(recipe: Recipe) -> list[Any]:
    """What the vectors depend on besides the model, which holds its own settings."""
    return [recipe.encode]


def run(night: Night) -> Figures:
    """Text vectors of documents, vectors of artworks, vectors of people."""
    import torch

    from artrec_core.columns import ARTWORK_ID, CONTENT_HASH, VECTOR
    from artrec_core.model.registry import Registry
    from artrec_core.model.two_tower import TwoTower
    from artrec_core.recs.inputs.arrays import vectors_of

    if night.recipe.encode.threads is not None:
        torch.set_num_threads(night.recipe.encode.threads)
    version = champion(night)
    tower = TwoTower.load(Registry(night.recipe.store).fetch(version))
    catalogue = night.lake.read("catalogue", night.day).sort(ARTWORK_ID)
    text_parts, encoded, reused = encode_documents(night, tower, tower.text_tower_digest, catalogue)
    table = night.lake.read_parts("text_vectors", night.day, [part for parts in text_parts.values() for part in parts])
    text, _ = vectors_of(catalogue[CONTENT_HASH], table.select(CONTENT_HASH, VECTOR), CONTENT_HASH)
    item_parts, works = _works(night, tower, version, catalogue, text)
    interest_parts, interests = _interests(night, tower)
    user_parts, people_encoded, people_reused = _people(night, tower, version, catalogue, works, interests)
    figures: Figures = {
        "model_version": version.name,
        "documents_encoded": encoded,
        "documents_reused": reused,
        "artworks": catalogue.height,
        "people_encoded": people_encoded,
        "people_reused": people_reused,
    }
    night.commit("text_vectors", text_parts, figures, version.name)
    night.commit("interest_vectors", interest_parts, figures, version.name)
    night.commit("item_vectors", item_parts, figures, version.name)
    night.commit("user_vectors", user_parts, figures, version.name)
    return figures


def champion(night: Night) -> "Version":
    """The version this night is served with; `ArtrecError` where there is none."""
    from artrec_core.model.registry import Registry

    found = Registry(night.recipe.store).champion()
    if found is None:
        raise ArtrecError(f"there is no champion to make vectors with; run `artrec train --date {night.day}` first")
    return found


def _works(
    night: Night, tower: "TwoTower", version: "Version", catalogue: "pl.DataFrame", text: Any
) -> tuple[dict[str, list[Part]], Any]:
    import polars as pl

    from artrec_core.columns import ARTWORK_ID, MODEL_VERSION, VECTOR
    from artrec_core.model.embeddings import item_vectors

    works = item_vectors(tower, catalogue[ARTWORK_ID].to_list(), text)
    rows = catalogue.select(
        ARTWORK_ID,
        pl.lit(version.name).alias(MODEL_VERSION),
        pl.Series(VECTOR, works, dtype=pl.Array(pl.Float32, works.shape[1])).cast(pl.List(pl.Float32)),
    )
    parts = [night.lake.write_part("item_vectors", night.day, some) for some in rows.iter_slices(ROWS_IN_PART)]
    return {"all": parts}, works


def _interests(night: Night, tower: "TwoTower") -> tuple[dict[str, list[Part]], "pl.DataFrame"]:
    """The parts and rows of interest_vectors, one a distinct statement; what this text tower encoded before is taken over."""
    import polars as pl

    from artrec_core.columns import INTEREST_VECTOR, INTERESTS, TEXT_TOWER, VECTOR, conform
    from artrec_core.data.people import distinct_interests
    from artrec_core.model.embeddings import text_vectors

    stated, _ = distinct_interests(night.lake.read("people", night.day))
    wanted = pl.DataFrame({INTERESTS: stated}, schema={INTERESTS: pl.String})
    found = [pl.DataFrame(schema={INTERESTS: pl.String, VECTOR: pl.List(pl.Float32)})]
    found += [
        night.lake.read("interest_vectors", day)
        .filter(pl.col(TEXT_TOWER) == tower.text_tower_digest)
        .select(INTERESTS, VECTOR)
        for day in whole_days(night, "interest_vectors")
    ]
    known = wanted.join(pl.concat(found).unique(INTERESTS, keep="first"), on=INTERESTS)
    missing = wanted.join(known, on=INTERESTS, how="anti")
    made: list[Any] = list(text_vectors(tower, missing[INTERESTS].to_list())) if missing.height else []
    new = missing.with_columns(pl.Series(VECTOR, made, dtype=pl.List(pl.Float32)).cast(pl.List(pl.Float32)))
    rows = pl.concat([known, new]).sort(INTERESTS).with_columns(pl.lit(tower.text_tower_digest).alias(TEXT_TOWER))
    rows = conform(rows, INTEREST_VECTOR)
    return {"all": [night.lake.write_part("interest_vectors", night.day, rows)]}, rows


def _people(
    night: Night,
    tower: "TwoTower",
    version: "Version",
    catalogue: "pl.DataFrame",
    works: Any,
    interests: "pl.DataFrame",
) -> tuple[dict[str, list[Part]], int, int]:
    import polars as pl

    from artrec_core.columns import (
        ARTWORK_ID,
        HISTORY_HASH,
        INTERESTS,
        MODEL_VERSION,
        USER_ID,
        USER_VECTOR,
        VECTOR,
        conform,
    )
    from artrec_core.model.embeddings import user_vectors
    from artrec_core.recs.inputs.arrays import vectors_of

    def text_of(stated: list[str]) -> Any:
        return vectors_of(pl.Series(stated), interests, INTERESTS)[0]

    from artrec_core.data.people import all_users

    histories = night.lake.read("histories", night.day)
    people = all_users(night.lake.read("people", night.day), histories)
    people = people.with_columns(_history_hashes(people, histories, catalogue))
    known = _known_people(night, version.model_digest)
    keys = [USER_ID, HISTORY_HASH]
    taken = people.join(known, on=keys, how="inner", maintain_order="left")
    missing = people.join(known, on=keys, how="anti", maintain_order="left")
    parts: dict[str, list[Part]] = {}
    if taken.height:
        rows = conform(taken.with_columns(pl.lit(version.name).alias(MODEL_VERSION)), USER_VECTOR)
        parts["reused"] = [night.lake.write_part("user_vectors", night.day, rows)]
    with progress("encode people", missing.height) as advance:
        for number, shard in enumerate(missing.iter_slices(PEOPLE_IN_SHARD)):
            made = user_vectors(tower, shard, histories, catalogue[ARTWORK_ID].to_list(), works, text_of)
            rows = shard.with_columns(
                pl.lit(version.name).alias(MODEL_VERSION), pl.Series(VECTOR, list(made), dtype=pl.List(pl.Float32))
            )
            part = night.lake.write_part("user_vectors", night.day, conform(rows, USER_VECTOR))
            parts[f"encoded-{number:06d}"] = [part]
            advance(shard.height)
    return parts, missing.height, taken.height


def _history_hashes(people: "pl.DataFrame", histories: "pl.DataFrame", catalogue: "pl.DataFrame") -> "pl.Series":
    """A digest of all that a person's vector is made from, besides the model: events, their works' texts, interests."""
    import polars as pl

    from artrec_core.columns import (
        ARTWORK_ID,
        DOCUMENT,
        HISTORY_HASH,
        INTERESTS,
        KIND,
        NEGATIVE,
        OCCURRED_AT,
        POSITIVE,
        SEEN,
        USER_ID,
    )

    texts = catalogue.select(ARTWORK_ID, pl.col(DOCUMENT).alias("_text"))
    told = (
        histories.join(texts, on=ARTWORK_ID, how="left", maintain_order="left")
        .select(
            USER_ID,
            pl.concat_str(
                [
                    pl.col(one).cast(pl.String).fill_null("\0")
                    for one in (ARTWORK_ID, KIND, OCCURRED_AT, POSITIVE, NEGATIVE, SEEN, "_text")
                ],
                separator="\1",
            ).alias("_told"),
        )
        .group_by(USER_ID)
        .agg(pl.col("_told").str.join("\2"))
    )
    rows = people.join(told, on=USER_ID, how="left", maintain_order="left")
    digests = [digest_values([text, interests]) for text, interests in rows.select("_told", INTERESTS).iter_rows()]
    return pl.Series(HISTORY_HASH, digests, dtype=pl.String)


def _known_people(night: Night, model_digest: str) -> "pl.DataFrame":
    """USER_ID, HISTORY_HASH -> VECTOR of this model, from this night and the ones before."""
    import polars as pl

    from artrec_core.columns import HISTORY_HASH, USER_ID, VECTOR

    found = [pl.DataFrame(schema={USER_ID: pl.String, HISTORY_HASH: pl.String, VECTOR: pl.List(pl.Float32)})]
    found += [
        night.lake.read("user_vectors", day).select(USER_ID, HISTORY_HASH, VECTOR)
        for day in whole_days(night, "user_vectors")
        if night.lake.manifest("user_vectors", day).made_from.get(CHAMPION) == model_digest
    ]
    return pl.concat(found).unique([USER_ID, HISTORY_HASH], keep="first", maintain_order=True)


STEP = Step(
    name="embed",
    help="Turn artworks and people into vectors; only what changed is encoded again.",
    outputs=TABLES,
    inputs=inputs,
    settings=settings,
    run=run,
)

if __name__ == "__main__":
    main(STEP)
