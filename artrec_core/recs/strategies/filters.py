"""Which works may be recommended: a strategy's filters, and the editorial block lists that hold whatever the filters say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

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

Mask = npt.NDArray[np.bool_]
CREATOR_PREFIX = "creator:"
VALUES_NAMED = 8


@dataclass(frozen=True)
class Blocked:
    """Works that a block list keeps out, (works,), and its entries that match no work."""

    works: Mask
    unmatched: tuple[str, ...]


@dataclass(frozen=True)
class Allowed:
    """The works that a strategy may recommend, (works,), and what each filter left of the works before it."""

    works: Mask
    left: dict[str, int]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Rows of these works."""
        return np.flatnonzero(self.works)


def blocked(catalogue: pl.DataFrame, blocks: Sequence[Block]) -> Blocked:
    """The works of the catalogue that any of these block lists names.

    Raises `MissingInput` where a block list's file is not there.
    """
    artworks, creators = _entries(blocks)
    ids = catalogue[ARTWORK_ID]
    names = creator_keys(catalogue)
    by_id = ids.is_in(pl.Series(artworks, dtype=pl.String).implode())
    wanted = {key_of(name) for name in creators}
    by_name = (
        names.list.eval(pl.element().is_in(pl.Series(sorted(wanted), dtype=pl.String).implode())).list.any()
        if wanted
        else pl.repeat(False, len(ids), dtype=pl.Boolean, eager=True)
    )
    known_ids, known_names = set(ids), set(names.explode().drop_nulls()) if wanted else set()
    unmatched = [one for one in artworks if one not in known_ids]
    unmatched += [f"{CREATOR_PREFIX} {one}" for one in creators if key_of(one) not in known_names]
    return Blocked((by_id | by_name.fill_null(False)).to_numpy().astype(bool), tuple(unmatched))


def allowed(catalogue: pl.DataFrame, filters: Filters, out: Mask, strategy: str) -> Allowed:
    """The works that pass the filters and are not in `out` (works,), a mask of blocked ones.

    Raises `ArtrecError` that names the filter and the counts where one leaves no work.
    """
    mask, left = ~out, {}
    if len(out) and not mask.any():
        raise ArtrecError(f"strategy {strategy!r}: the block list leaves none of the {len(out):,} works; shorten it")
    for name, test in _tests(filters).items():
        passes = catalogue.select(test.fill_null(False)).to_series().to_numpy().astype(bool)
        before, mask = mask, mask & passes
        left[name] = int(mask.sum())
        if before.any() and not mask.any():
            raise ArtrecError(
                f"strategy {strategy!r}: the filter {name} leaves none of the {int(before.sum()):,} works that it was"
                f" given; of all {len(out):,} works it lets {int(passes.sum()):,} through{_known(catalogue, name)}"
            )
    return Allowed(mask, left)


def of_museums(catalogue: pl.DataFrame, names: list[str]) -> Mask:
    """Which works (works,) are of museums or of sources of these names, in any case.

    Raises `ArtrecError` that names those the catalogue has where one of the names has no work.
    """
    found = np.zeros(catalogue.height, bool)
    for name in names:
        mask = catalogue.select(_among(MUSEUM, [name]) | _among(SOURCE, [name])).to_series().to_numpy().astype(bool)
        if not mask.any():
            known = f"{_known(catalogue, 'museums')[2:]}, of the sources {', '.join(sorted(catalogue[SOURCE].drop_nulls().unique()))}"
            raise ArtrecError(f"no work is of a museum or a source {name!r}; {known}")
        found |= mask
    return found


def creator_keys(catalogue: pl.DataFrame) -> pl.Series:
    """The names of each work's creators as they are compared: lower case, single blanks (list of text)."""
    names = pl.element().struct.field("name").str.strip_chars().str.replace_all(r"\s+", " ").str.to_lowercase()
    return catalogue.select(pl.col(CREATORS).list.eval(names.drop_nulls())).to_series()


def key_of(text: str) -> str:
    """A text as it is compared: lower case, single blanks."""
    return " ".join(text.split()).lower()


def block_files(blocks: Iterable[Block]) -> dict[str, bytes]:
    """The files of block lists and what they hold; `MissingInput` where one is not there."""
    return {block.file: _raw(block.file) for block in blocks if block.file is not None}


def _entries(blocks: Sequence[Block]) -> tuple[list[str], list[str]]:
    """The distinct artwork ids and creators' names of block lists and of their files, in their order."""
    artworks = [_artwork_id(given) for block in blocks for given in block.artworks]
    creators = [one.strip() for block in blocks for one in block.creators]
    for name, raw in block_files(blocks).items():
        try:
            lines = [line.strip() for line in raw.decode("utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise ArtrecError(f"the block list {name} is not UTF-8 text ({error}); save it as such") from None
        for line in lines:
            if line.lower().startswith(CREATOR_PREFIX):
                creators.append(line[len(CREATOR_PREFIX) :].strip())
            elif not line.startswith("#"):
                artworks.append(_artwork_id(line))
    return list(dict.fromkeys(filter(None, artworks))), list(dict.fromkeys(filter(None, creators)))


def _artwork_id(given: str) -> str | None:
    """A blocked artwork's id, spelt as tables spell it."""
    try:
        return identifier(given)
    except ValueError as error:
        raise ArtrecError(f"the block list names an artwork id that {error}") from None


def _raw(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise MissingInput(f"the block list {file} cannot be read ({error}); write it, or take it out of the recipe") from None  # fmt: skip


def _tests(filters: Filters) -> dict[str, pl.Expr]:
    """The filters given, each as what the recipe says of it and its test on the catalogue."""
    tests: dict[str, pl.Expr] = {}
    if filters.museums:
        tests[f"museums = {filters.museums}"] = _among(MUSEUM, filters.museums) | _among(SOURCE, filters.museums)
    # A work of which one year is known was made in that year; a work of many years, in all of them.
    first, last = pl.coalesce(YEAR_FROM, YEAR_TO), pl.coalesce(YEAR_TO, YEAR_FROM)
    if filters.year_from is not None:
        tests[f"year_from = {filters.year_from}"] = last >= filters.year_from
    if filters.year_to is not None:
        tests[f"year_to = {filters.year_to}"] = first <= filters.year_to
    if filters.licences:
        tests[f"licences = {filters.licences}"] = _among(LICENCE, filters.licences)
    if filters.classifications:
        tests[f"classifications = {filters.classifications}"] = _among(CLASSIFICATION, filters.classifications)
    if filters.currency is not None:
        tests[f"currency = {filters.currency!r}"] = _among(CURRENCY, [filters.currency])
    if filters.price_from is not None:
        tests[f"price_from = {filters.price_from:g}"] = pl.col(PRICE) >= filters.price_from
    if filters.price_to is not None:
        tests[f"price_to = {filters.price_to:g}"] = pl.col(PRICE) <= filters.price_to
    if filters.has_image:
        tests["has_image = true"] = pl.col(IMAGE_URL).str.strip_chars() != ""
    return tests


def _among(column: str, values: list[str]) -> pl.Expr:
    keys = pl.Series(sorted({key_of(value) for value in values}), dtype=pl.String)
    held = pl.col(column).str.strip_chars().str.replace_all(r"\s+", " ").str.to_lowercase()
    return held.is_in(keys.implode()).fill_null(False)


def _known(catalogue: pl.DataFrame, test: str) -> str:
    """The values that works have where the filter names some, the commonest first."""
    columns = {"museums": MUSEUM, "licences": LICENCE, "classifications": CLASSIFICATION, "currency": CURRENCY}
    column = columns.get(test.split(" = ")[0])
    if column is None:
        return ""
    counts = catalogue.group_by(column).len().drop_nulls().sort("len", column, descending=[True, False])
    named = ", ".join(f"{value} ({many:,})" for value, many in counts.head(VALUES_NAMED).iter_rows())
    return f"; the catalogue has {named or 'no such value at all'}"
