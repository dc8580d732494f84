import json

from artrec_core.data.sources.demo import artwork, raw_lines


def test_the_shipped_world_is_big_and_every_work_whole() -> None:
    works = [artwork(json.loads(line)) for line in raw_lines()]
    assert len(works) >= 400
    assert len({work["artwork_id"] for work in works}) == len(works)
    assert all(work["title"] and work["description"] and work["subjects"] and work["museum"] for work in works)
    assert all(work["year_from"] <= work["year_to"] for work in works)
    assert {work["licence"] for work in works} == {"facts"}
    assert len({work["movement"] for work in works}) >= 15
    assert len({work["culture"] for work in works}) >= 8
