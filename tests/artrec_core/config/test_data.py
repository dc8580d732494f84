"""Sources of artworks and events: what each kind needs."""

from pathlib import Path

import pytest

from artrec_core.config import EventSource, Source, UserSource, is_simulated, load
from artrec_core.errors import ConfigError
from tests.artrec_core.config.recipes import write_recipe


def test_a_source_without_its_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a `path`"):
        load(write_recipe(tmp_path, '[[sources]]\nname = "tate"\nkind = "tate"\n'))


def test_a_jsonl_source_must_map_the_id_and_the_title() -> None:
    fields = {"artwork_id": "id", "title": "name"}
    assert Source(name="a", kind="jsonl", path="a.jsonl", fields=fields).fields == fields
    with pytest.raises(ValueError, match="`fields` must map at least artwork_id and title"):
        Source(name="a", kind="jsonl", path="a.jsonl", fields={"title": "name"})


def test_only_simulated_events_need_no_file() -> None:
    assert EventSource(name="visitors", kind="simulated").path is None
    with pytest.raises(ValueError, match="events 'app' of kind 'sequences' need a `path`"):
        EventSource(name="app", kind="sequences")


def test_only_event_sources_of_the_kind_simulated_are_simulated() -> None:
    sources = [
        EventSource(name="visitors", kind="simulated"),
        EventSource(name="app", kind="file", path="app.csv"),
        UserSource(name="users", path="users.csv"),
        Source(name="demo", kind="demo"),
    ]
    assert [is_simulated(source) for source in sources] == [True, False, False, False]
