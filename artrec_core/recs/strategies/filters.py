"""Which artworks may be recommended: a strategy's filters, and block lists, which no filter can override."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from artrec_core.arrays import BoolArray, Int64Array
from artrec_core.columns import (
    ARTWORK_ID,
    CLASSIFICATION,
    CREATORS,
    CURRENCY,
    IMAGE_URL,
    LICENCE,
    MUSEUM,
    PRICE,
    SOURCE,
    YEAR_FROM,
    YEAR_TO,
)
from artrec_core.config import Block, Filters
from artrec_core.data.values import identifier
from artrec_core.errors import ArtrecError, MissingInput

CREATOR_PREFIX = "creator:"
MAX_VALUES_NAMED = 8


@dataclass(frozen=True)
class BlockedArtworks:
    """Whether block lists keep an artwork out, (I,), and the entries of the lists that match no artwork."""

    mask: BoolArray
    unmatched: tuple[str, ...]


@dataclass(frozen=True)
class AllowedArtworks:
    """Whether a strategy may recommend an artwork, (I,)."""

    mask: BoolArray

    @property
    def rows(self) -> Int64Array:
        """Rows of the artworks that may be recommended."""
        return np.flatnonzero(self.mask)


def find_blocked(catalogue: pl.DataFrame, blocks: Sequence[Block]) -> BlockedArtworks:
    """Find the artworks of the catalogue that any of these block lists names, by id or by creator.

    Parameters
    ----------
    catalogue
        The artworks, I rows.
    blocks
        Sections of the recipe: ids, names of creators and files with both.

    Raises
    ------
    MissingInput
        If the file of a block list cannot be read.
    """
    artworks, creators = _block_entries(blocks)
    ids = catalogue[ARTWORK_ID]
    names = creator_keys(catalogue)
    by_id = ids.is_in(pl.Series(artworks, dtype=pl.String).implode())
    blocked_names = {normalise(name) for name in creators}
    by_name = (
        names.list.eval(pl.element().is_in(pl.Series(sorted(blocked_names), dtype=pl.String).implode())).list.any()
        if blocked_names
        else pl.repeat(False, len(ids), dtype=pl.Boolean, eager=True)
    )
    known_ids, known_names = set(ids), set(names.explode().drop_nulls()) if blocked_names else set()
    unmatched = [artwork for artwork in artworks if artwork not in known_ids]
    unmatched += [f"{CREATOR_PREFIX} {creator}" for creator in creators if normalise(creator) not in known_names]
    return BlockedArtworks((by_id | by_name.fill_null(False)).to_numpy().astype(bool), tuple(unmatched))


def apply_filters(catalogue: pl.DataFrame, filters: Filters, is_blocked: BoolArray, strategy: str) -> AllowedArtworks:
    """Select the artworks that pass all filters and are not blocked.

    Parameters
    ----------
    catalogue
        The artworks, I rows.
    filters
        The strategy's filters.
    is_blocked
        Whether a block list keeps an artwork out, (I,).
    strategy
        Name of the strategy, for error messages.

    Raises
    ------
    ArtrecError
        If no artwork remains; the message names the filter and the counts.
    """
    mask = ~is_blocked
    if len(is_blocked) and not mask.any():
        raise ArtrecError(
            f"strategy {strategy!r}: the block list removes all {len(is_blocked):,} artworks; shorten the block list"
        )
    for name, condition in _filter_conditions(filters).items():
        passes = catalogue.select(condition.fill_null(False)).to_series().to_numpy().astype(bool)
        before, mask = mask, mask & passes
        if before.any() and not mask.any():
            raise ArtrecError(
                f"strategy {strategy!r}: the filter {name} removes all of the remaining {int(before.sum()):,} artworks;"
                f" {int(passes.sum()):,} of all {len(is_blocked):,} artworks pass it{_describe_values(catalogue, name)}"
            )
    return AllowedArtworks(mask)


def museum_mask(catalogue: pl.DataFrame, names: list[str]) -> BoolArray:
    """Whether each artwork is from a museum or a source of one of these names, (I,).

    Parameters
    ----------
    catalogue
        The artworks, I rows.
    names
        Names of museums or sources. Letter case does not matter.

    Raises
    ------
    ArtrecError
        If a name has no artwork; the message lists the museums and sources of the catalogue.
    """
    mask = np.zeros(catalogue.height, bool)
    for name in names:
        has_name = _has_value(MUSEUM, [name]) | _has_value(SOURCE, [name])
        matches = catalogue.select(has_name).to_series().to_numpy().astype(bool)
        if not matches.any():
            sources = ", ".join(sorted(catalogue[SOURCE].drop_nulls().unique()))
            museums = _describe_values(catalogue, "museums")[2:]
            raise ArtrecError(
                f"no artwork is from a museum or a source {name!r}; {museums}, from the sources {sources}"
            )
        mask |= matches
    return mask


def creator_keys(catalogue: pl.DataFrame) -> pl.Series:
    """The normalised names of each artwork's creators: lower case, single blanks (list of text)."""
    names = pl.element().struct.field("name").str.strip_chars().str.replace_all(r"\s+", " ").str.to_lowercase()
    return catalogue.select(pl.col(CREATORS).list.eval(names.drop_nulls())).to_series()


def normalise(text: str) -> str:
    """A text in lower case with single blanks, for comparison."""
    return " ".join(text.split()).lower()


def read_block_files(blocks: Iterable[Block]) -> dict[str, bytes]:
    """Read the files of block lists: {path: content}.

    Raises
    ------
    MissingInput
        If a file cannot be read.
    """
    return {block.file: _read_bytes(block.file) for block in blocks if block.file is not None}


def _block_entries(blocks: Sequence[Block]) -> tuple[list[str], list[str]]:
    """The distinct artwork ids and creator names in block lists and their files, in their order."""
    artworks = [_artwork_id(value) for block in blocks for value in block.artworks]
    creators = [creator.strip() for block in blocks for creator in block.creators]
    for name, raw in read_block_files(blocks).items():
        try:
            lines = [line.strip() for line in raw.decode("utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise ArtrecError(f"the block list {name} is not UTF-8 text ({error}); save it as UTF-8") from None
        for line in lines:
            if line.lower().startswith(CREATOR_PREFIX):
                creators.append(line[len(CREATOR_PREFIX) :].strip())
            elif not line.startswith("#"):
                artworks.append(_artwork_id(line))
    return list(dict.fromkeys(filter(None, artworks))), list(dict.fromkeys(filter(None, creators)))


def _artwork_id(value: str) -> str | None:
    """The id of a blocked artwork, in the spelling of the tables."""
    try:
        return identifier(value)
    except ValueError as error:
        raise ArtrecError(f"the block list names an artwork id that {error}") from None


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise MissingInput(
            f"the block list {path} cannot be read ({error}); create the file, or remove it from the recipe"
        ) from None


def _filter_conditions(filters: Filters) -> dict[str, pl.Expr]:
    """The filters that are set: how the recipe writes each, and its condition on the catalogue."""
    conditions: dict[str, pl.Expr] = {}
    if filters.museums:
        conditions[f"museums = {filters.museums}"] = _has_value(MUSEUM, filters.museums) | _has_value(
            SOURCE, filters.museums
        )
    # An artwork with one known year was made in that year; one with two, in all years between them.
    first, last = pl.coalesce(YEAR_FROM, YEAR_TO), pl.coalesce(YEAR_TO, YEAR_FROM)
    if filters.year_from is not None:
        conditions[f"year_from = {filters.year_from}"] = last >= filters.year_from
    if filters.year_to is not None:
        conditions[f"year_to = {filters.year_to}"] = first <= filters.year_to
    if filters.licences:
        conditions[f"licences = {filters.licences}"] = _has_value(LICENCE, filters.licences)
    if filters.classifications:
        conditions[f"classifications = {filters.classifications}"] = _has_value(CLASSIFICATION, filters.classifications)
    if filters.currency is not None:
        conditions[f"currency = {filters.currency!r}"] = _has_value(CURRENCY, [filters.currency])
    if filters.price_from is not None:
        conditions[f"price_from = {filters.price_from:g}"] = pl.col(PRICE) >= filters.price_from
    if filters.price_to is not None:
        conditions[f"price_to = {filters.price_to:g}"] = pl.col(PRICE) <= filters.price_to
    if filters.has_image:
        conditions["has_image = true"] = pl.col(IMAGE_URL).str.strip_chars() != ""
    return conditions


def _has_value(column: str, values: list[str]) -> pl.Expr:
    keys = pl.Series(sorted({normalise(value) for value in values}), dtype=pl.String)
    normalised = pl.col(column).str.strip_chars().str.replace_all(r"\s+", " ").str.to_lowercase()
    return normalised.is_in(keys.implode()).fill_null(False)


def _describe_values(catalogue: pl.DataFrame, condition: str) -> str:
    """The values in the column of a filter that names values, the most frequent first; empty for other filters."""
    columns = {"museums": MUSEUM, "licences": LICENCE, "classifications": CLASSIFICATION, "currency": CURRENCY}
    column = columns.get(condition.split(" = ")[0])
    if column is None:
        return ""
    counts = catalogue.group_by(column).len().drop_nulls().sort("len", column, descending=[True, False])
    values = ", ".join(f"{value} ({count:,})" for value, count in counts.head(MAX_VALUES_NAMED).iter_rows())
    return f"; the catalogue has {values or 'no value there'}"
