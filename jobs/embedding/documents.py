"""Text vectors of documents: encoded once, kept in the lake, and taken over by later nights."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from artrec_core.lake import Part
from jobs.progress import progress
from jobs.step import Night

if TYPE_CHECKING:
    import polars as pl

    from artrec_core.model.text_encoder import TextEncoder
    from artrec_core.model.two_tower import TwoTower

# A killed night takes up after the last shard that was written: 4,096 documents are some 20 seconds of encoding.
DOCUMENTS_IN_SHARD = 4096
ROWS_IN_PART = 65536
# The model, among what vectors were made from.
CHAMPION = "champion"
# Vectors are looked for in so many earlier nights.
NIGHTS_BACK = 7


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
            for some in taken.iter_slices(ROWS_IN_PART)
        ]
    # The work that shards hold decides their fingerprint: a rerun after a kill takes over those that stand.
    with progress("encode documents", missing.height) as advance:
        for number, shard in enumerate(missing.iter_slices(DOCUMENTS_IN_SHARD)):
            writer = f"encoded-{number:06d}"
            documents = shard[DOCUMENT].to_list()
            mark = digest_values([digest, *shard[CONTENT_HASH].to_list(), *documents])
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
        shards = conform(rows, schema).iter_slices(ROWS_IN_PART)
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
    for day in whole_days(night, "text_vectors"):
        manifest, catalogue = night.lake.manifest("text_vectors", day), night.lake.find_manifest("catalogue", day)
        if catalogue is None or manifest.made_from.get(f"catalogue@{day}") != catalogue.digest:
            continue
        if not night.lake.holds("catalogue", day, catalogue.parts):
            continue
        vectors = night.lake.read("text_vectors", day).filter(pl.col(TEXT_TOWER) == text_tower)
        documents = night.lake.read("catalogue", day).select(CONTENT_HASH, DOCUMENT).unique(CONTENT_HASH, keep="first")
        found.append(documents.join(vectors, on=CONTENT_HASH).select(DOCUMENT, VECTOR))
    return pl.concat(found).unique(DOCUMENT, keep="first", maintain_order=True)


def whole_days(night: Night, table: str) -> Iterator[str]:
    """The days to look in, this one first: those whose parts are all there."""
    for day in reversed(night.lake.days(table, night.day)[-NIGHTS_BACK:]):
        if night.lake.holds(table, day, night.lake.manifest(table, day).parts):
            yield day


def digest_values(values: list[Any]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        digest.update(repr(value).encode() + b"\0")
    return digest.hexdigest()
