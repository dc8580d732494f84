"""Text vectors of documents: encoded once, stored in the lake, and taken over by later nights."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from artrec_core.columns import (
    CONTENT_HASH,
    DOCUMENT,
    INTEREST_VECTOR,
    INTERESTS,
    TEXT_TOWER,
    TEXT_VECTOR,
    VECTOR,
    conform,
)
from artrec_core.lake import Part
from jobs.progress import progress
from jobs.step import Night

if TYPE_CHECKING:
    from artrec_core.arrays import Float32Array
    from artrec_core.model.text_encoder import TextEncoder
    from artrec_core.model.two_tower import TwoTower

# A killed run resumes after the last shard that was written. Encoding 4,096 documents takes about 20 seconds.
DOCUMENTS_IN_SHARD = 4096
ROWS_IN_PART = 65536
# The key of the model's digest in a manifest's `made_from`.
CHAMPION = "champion"
# In how many nights, this one included, vectors are looked for.
NIGHTS_BACK = 7


def encode_documents(
    night: Night, encoder: "TextEncoder | TwoTower", digest: str, catalogue: pl.DataFrame
) -> tuple[dict[str, list[Part]], int, int]:
    """Make the parts of text_vectors, one row for each distinct content of the catalogue.

    Vectors that the same text tower made on this night or an earlier one are taken over. The other documents are sorted
    by length and encoded in shards. Each shard is committed when it is done.

    Parameters
    ----------
    night
        The night whose text_vectors are made. Its day is not committed here.
    encoder
        Encodes the documents.
    digest
        The digest of the encoder's text tower.
    catalogue
        CONTENT_HASH and DOCUMENT of each artwork.

    Returns
    -------
    The parts by writer, the number of documents encoded now, and the number of documents taken over.
    """
    from artrec_core.model.text_encoder import encode
    from artrec_core.model.two_tower import TwoTower

    contents = catalogue.select(CONTENT_HASH, DOCUMENT).unique(CONTENT_HASH, keep="first", maintain_order=True)
    earlier = earlier_document_vectors(night, digest)
    reused_rows = contents.join(earlier, on=DOCUMENT, how="inner", maintain_order="left").sort(CONTENT_HASH)
    new_contents = contents.join(earlier, on=DOCUMENT, how="anti")
    new_contents = new_contents.sort(pl.col(DOCUMENT).str.len_bytes(), DOCUMENT, CONTENT_HASH)
    tower_name = pl.lit(digest).alias(TEXT_TOWER)
    parts: dict[str, list[Part]] = {}
    if reused_rows.height:
        parts["reused"] = [
            night.lake.write_part("text_vectors", night.day, conform(piece.with_columns(tower_name), TEXT_VECTOR))
            for piece in reused_rows.iter_slices(ROWS_IN_PART)
        ]
    with progress("encode documents", new_contents.height) as advance:
        for number, shard in enumerate(new_contents.iter_slices(DOCUMENTS_IN_SHARD)):
            writer = f"encoded-{number:06d}"
            documents = shard[DOCUMENT].to_list()
            # The contents of a shard are its fingerprint: a rerun after a kill takes over the shards that were committed.
            fingerprint = digest_values([digest, *shard[CONTENT_HASH].to_list(), *documents])
            manifest = night.lake.find_writer("text_vectors", night.day, writer, fingerprint)
            if manifest is None:
                text_encoder = encoder.text_encoder if isinstance(encoder, TwoTower) else encoder
                batch_tokens = night.recipe.encode.batch_tokens
                vectors = encode(text_encoder, documents, batch_tokens=batch_tokens, advance=advance)
                rows = shard.with_columns(tower_name, pl.Series(VECTOR, list(vectors), dtype=pl.List(pl.Float32)))
                part = night.lake.write_part("text_vectors", night.day, conform(rows, TEXT_VECTOR))
                manifest = night.lake.commit_writer("text_vectors", night.day, writer, [part], fingerprint)
            else:
                advance(shard.height)
            parts[writer] = manifest.parts
    return parts, new_contents.height, reused_rows.height


def commit_trained_vectors(
    night: Night, digest: str, catalogue: pl.DataFrame, interests: list[str], vectors: "Float32Array"
) -> None:
    """Commit the text vectors that a training made, so that `embed` need not make them again on this night.

    Parameters
    ----------
    night
        The night whose text_vectors and interest_vectors are committed.
    digest
        The digest of the text tower.
    catalogue
        CONTENT_HASH of each artwork.
    interests
        The distinct statements of interest.
    vectors
        (artworks + interests + others, text_dim): first the catalogue's documents in its order, then the interests.
    """
    dtype = pl.Array(pl.Float32, vectors.shape[1])
    statements = pl.DataFrame({INTERESTS: interests}, schema={INTERESTS: pl.String})
    tables = {
        "text_vectors": (catalogue, CONTENT_HASH, TEXT_VECTOR),
        "interest_vectors": (statements, INTERESTS, INTEREST_VECTOR),
    }
    begin = 0
    for table, (texts, key, schema) in tables.items():
        column = pl.Series(VECTOR, vectors[begin : begin + texts.height], dtype=dtype).cast(pl.List(pl.Float32))
        rows = texts.select(key, pl.lit(digest).alias(TEXT_TOWER), column).unique(key, keep="first").sort(key)
        pieces = conform(rows, schema).iter_slices(ROWS_IN_PART)
        night.commit(table, {"trained": [night.lake.write_part(table, night.day, piece) for piece in pieces]})
        begin += texts.height


def earlier_document_vectors(night: Night, text_tower: str) -> pl.DataFrame:
    """DOCUMENT and VECTOR of this text tower, from this night and the nights before.

    A night counts only if its text_vectors were made from the catalogue that the lake has now. The content hash would
    not show that a document is built in another way.
    """
    frames = [pl.DataFrame(schema={DOCUMENT: pl.String, VECTOR: pl.List(pl.Float32)})]
    for day in complete_days(night, "text_vectors"):
        manifest, catalogue = night.lake.manifest("text_vectors", day), night.lake.find_manifest("catalogue", day)
        if catalogue is None or manifest.made_from.get(f"catalogue@{day}") != catalogue.digest:
            continue
        if not night.lake.has_parts("catalogue", day, catalogue.parts):
            continue
        vectors = night.lake.read("text_vectors", day).filter(pl.col(TEXT_TOWER) == text_tower)
        documents = night.lake.read("catalogue", day).select(CONTENT_HASH, DOCUMENT).unique(CONTENT_HASH, keep="first")
        frames.append(documents.join(vectors, on=CONTENT_HASH).select(DOCUMENT, VECTOR))
    return pl.concat(frames).unique(DOCUMENT, keep="first", maintain_order=True)


def complete_days(night: Night, table: str) -> Iterator[str]:
    """The latest days up to this night's on which all parts of the table exist, newest first."""
    for day in reversed(night.lake.days(table, night.day)[-NIGHTS_BACK:]):
        if night.lake.has_parts(table, day, night.lake.manifest(table, day).parts):
            yield day


def digest_values(values: list[Any]) -> str:
    """A digest of values by their `repr`."""
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        digest.update(repr(value).encode() + b"\0")
    return digest.hexdigest()
