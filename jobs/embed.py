"""embed: vectors of artworks and people from the champion; only what changed is encoded again."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import Part
from jobs.progress import progress
from jobs.step import Figures, Night, Step, main

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.model.registry import Version
    from artrec_core.model.text_encoder import TextEncoder
    from artrec_core.model.two_tower import TwoTower

INPUTS = ("catalogue", "histories", "people")
TABLES = ("text_vectors", "interest_vectors", "item_vectors", "user_vectors")
# A killed night takes up after the last shard that was written: 4,096 documents are some 20 seconds of encoding.
DOCUMENTS_IN_SHARD = 4096
PEOPLE_IN_SHARD = 16384
WORKS_IN_SHARD = 65536
# The model among what the vectors were made from.
CHAMPION = "champion"
# Vectors are looked for in so many earlier nights.
NIGHTS_BACK = 7


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


def encode_documents(
    night: Night, encoder: "TextEncoder | TwoTower", digest: str, catalogue: "pl.DataFrame"
) -> tuple[dict[str, list[Part]], int, int]:
    """The parts of text_vectors, a row a distinct content, and how many were encoded now and taken over.

    What this night or an earlier one encoded with the same text tower is taken over. Documents to encode go in shards of
    like lengths, each committed as it is done.
    """
    import polars as pl

    from artrec_core.columns import CONTENT_HASH, DOCUMENT, TEXT_TOWER, TEXT_VECTOR, VECTOR, conform
    from artrec_core.model.text_encoder import encode
    from artrec_core.model.two_tower import TwoTower

    wanted = catalogue.select(CONTENT_HASH, DOCUMENT).unique(CONTENT_HASH, keep="first", maintain_order=True)
    known = known_documents(night, digest)
    taken = wanted.join(known, on=DOCUMENT, how="inner", maintain_order="left").sort(CONTENT_HASH)
    missing = wanted.join(known, on=DOCUMENT, how="anti").sort(pl.col(DOCUMENT).str.len_bytes(), DOCUMENT, CONTENT_HASH)
    tower_name = pl.lit(digest).alias(TEXT_TOWER)
    parts: dict[str, list[Part]] = {}
    if taken.height:
        parts["reused"] = [
            night.lake.write_part("text_vectors", night.day, conform(some.with_columns(tower_name), TEXT_VECTOR))
            for some in taken.iter_slices(WORKS_IN_SHARD)
        ]
    # The work that shards hold decides their fingerprint: a rerun after a kill takes over those that stand.
    with progress("encode documents", missing.height) as advance:
        for number, shard in enumerate(missing.iter_slices(DOCUMENTS_IN_SHARD)):
            writer = f"encoded-{number:06d}"
            documents = shard[DOCUMENT].to_list()
            mark = _mark([digest, *shard[CONTENT_HASH].to_list(), *documents])
            done = night.lake.find_writer("text_vectors", night.day, writer, mark)
            if done is None:
                text = encoder.text_encoder if isinstance(encoder, TwoTower) else encoder
                made = encode(text, documents, batch_tokens=night.recipe.encode.batch_tokens, advance=advance)
                rows = shard.with_columns(tower_name, pl.Series(VECTOR, list(made), dtype=pl.List(pl.Float32)))
                part = night.lake.write_part("text_vectors", night.day, conform(rows, TEXT_VECTOR))
                done = night.lake.commit_writer("text_vectors", night.day, writer, [part], mark)
            else:
                advance(shard.height)
            parts[writer] = done.parts
    return parts, missing.height, taken.height


def keep_trained(night: Night, digest: str, catalogue: "pl.DataFrame", interests: list[str], vectors: Any) -> None:
    """Commit the text vectors that a training made, so that this night's embed need not make them again.

    `vectors` (works + interests and more, text_dim) begin with the catalogue's documents in its order and the stated interests.
    """
    import polars as pl

    from artrec_core.columns import CONTENT_HASH, INTEREST_VECTOR, INTERESTS, TEXT_TOWER, TEXT_VECTOR, VECTOR, conform

    kind = pl.Array(pl.Float32, vectors.shape[1])
    told = pl.DataFrame({INTERESTS: interests}, schema={INTERESTS: pl.String})
    tables = {
        "text_vectors": (catalogue, CONTENT_HASH, TEXT_VECTOR),
        "interest_vectors": (told, INTERESTS, INTEREST_VECTOR),
    }
    begin = 0
    for table, (texts, key, schema) in tables.items():
        made = pl.Series(VECTOR, vectors[begin : begin + texts.height], dtype=kind).cast(pl.List(pl.Float32))
        rows = texts.select(key, pl.lit(digest).alias(TEXT_TOWER), made).unique(key, keep="first").sort(key)
        shards = conform(rows, schema).iter_slices(WORKS_IN_SHARD)
        night.commit(table, {"trained": [night.lake.write_part(table, night.day, one) for one in shards]})
        begin += texts.height


def known_documents(night: Night, text_tower: str) -> "pl.DataFrame":
    """DOCUMENT -> VECTOR of this text tower, from this night and the ones before.

    A night counts where its text_vectors were made from the catalogue that stands there now: the hash of a work's content
    alone would not tell that its document is put together another way.
    """
    import polars as pl

    from artrec_core.columns import CONTENT_HASH, DOCUMENT, TEXT_TOWER, VECTOR

    found = [pl.DataFrame(schema={DOCUMENT: pl.String, VECTOR: pl.List(pl.Float32)})]
    for day in _days(night, "text_vectors"):
        manifest, catalogue = night.lake.manifest("text_vectors", day), night.lake.find_manifest("catalogue", day)
        if catalogue is None or manifest.made_from.get(f"catalogue@{day}") != catalogue.digest:
            continue
        if not night.lake.holds("catalogue", day, catalogue.parts):
            continue
        vectors = night.lake.read("text_vectors", day).filter(pl.col(TEXT_TOWER) == text_tower)
        documents = night.lake.read("catalogue", day).select(CONTENT_HASH, DOCUMENT).unique(CONTENT_HASH, keep="first")
        found.append(documents.join(vectors, on=CONTENT_HASH).select(DOCUMENT, VECTOR))
    return pl.concat(found).unique(DOCUMENT, keep="first", maintain_order=True)


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
    parts = [night.lake.write_part("item_vectors", night.day, some) for some in rows.iter_slices(WORKS_IN_SHARD)]
    return {"all": parts}, works


def _interests(night: Night, tower: "TwoTower") -> tuple[dict[str, list[Part]], "pl.DataFrame"]:
    """The parts and rows of interest_vectors, one a distinct statement; what this text tower encoded before is taken over."""
    import polars as pl

    from artrec_core.columns import INTEREST_VECTOR, INTERESTS, TEXT_TOWER, VECTOR, conform
    from artrec_core.model.embeddings import distinct_interests, text_vectors

    stated, _ = distinct_interests(night.lake.read("people", night.day))
    wanted = pl.DataFrame({INTERESTS: stated}, schema={INTERESTS: pl.String})
    found = [pl.DataFrame(schema={INTERESTS: pl.String, VECTOR: pl.List(pl.Float32)})]
    found += [
        night.lake.read("interest_vectors", day)
        .filter(pl.col(TEXT_TOWER) == tower.text_tower_digest)
        .select(INTERESTS, VECTOR)
        for day in _days(night, "interest_vectors")
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

    histories = night.lake.read("histories", night.day)
    people = everyone(night.lake.read("people", night.day), histories)
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


def everyone(people: "pl.DataFrame", histories: "pl.DataFrame") -> "pl.DataFrame":
    """USER rows of all who are known or did something, sorted by USER_ID."""
    import polars as pl

    from artrec_core.columns import USER, USER_ID, conform

    unknown = histories.select(USER_ID).unique().join(people, on=USER_ID, how="anti")
    return pl.concat([conform(people, USER), conform(unknown, USER)]).sort(USER_ID)


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
    digests = [_mark([text, interests]) for text, interests in rows.select("_told", INTERESTS).iter_rows()]
    return pl.Series(HISTORY_HASH, digests, dtype=pl.String)


def _known_people(night: Night, model_digest: str) -> "pl.DataFrame":
    """USER_ID, HISTORY_HASH -> VECTOR of this model, from this night and the ones before."""
    import polars as pl

    from artrec_core.columns import HISTORY_HASH, USER_ID, VECTOR

    found = [pl.DataFrame(schema={USER_ID: pl.String, HISTORY_HASH: pl.String, VECTOR: pl.List(pl.Float32)})]
    found += [
        night.lake.read("user_vectors", day).select(USER_ID, HISTORY_HASH, VECTOR)
        for day in _days(night, "user_vectors")
        if night.lake.manifest("user_vectors", day).made_from.get(CHAMPION) == model_digest
    ]
    return pl.concat(found).unique([USER_ID, HISTORY_HASH], keep="first", maintain_order=True)


def _days(night: Night, table: str) -> Iterator[str]:
    """The days to look in, this one first: those whose parts are all there."""
    for day in reversed(night.lake.days(table, night.day)[-NIGHTS_BACK:]):
        if night.lake.holds(table, day, night.lake.manifest(table, day).parts):
            yield day


def _mark(values: list[Any]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        digest.update(repr(value).encode() + b"\0")
    return digest.hexdigest()


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
