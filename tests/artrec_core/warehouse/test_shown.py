import polars as pl

from artrec_core.columns import CATALOGUE, SHOWN_ARTWORK, conform
from artrec_core.warehouse.shown import shown_artworks


def test_creators_become_one_text_and_works_are_not_simulated() -> None:
    creator = {"role": None, "nationality": None, "gender": None, "born": None, "died": None}
    catalogue = conform(
        pl.DataFrame(
            {
                "artwork_id": ["a", "b", "c", "d"],
                "title": ["Sunflowers", "NUL\x00byte", None, ""],
                "creators": [
                    [{"name": "Turner, J. M. W.", **creator}, {"name": None, **creator}, {"name": "Anna", **creator}],
                    [],
                    None,
                    [{"name": None, **creator}],
                ],
            }
        ),
        CATALOGUE,
    )
    shown = shown_artworks(catalogue, "2026-03-30", "7")
    assert dict(shown.schema) == SHOWN_ARTWORK
    assert shown.get_column("creators").to_list() == ["Turner, J. M. W.; Anna", None, None, None]
    assert shown.get_column("title").to_list() == ["Sunflowers", "NULbyte", None, ""]
    assert shown.select("run_date", "model_version", "simulated").unique().rows() == [("2026-03-30", "7", False)]
