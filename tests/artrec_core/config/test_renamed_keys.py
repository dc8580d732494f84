"""Old keys of recipes: each error names the new key."""

from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.config.renamed_keys import RENAMED_KEYS, renamed_key
from artrec_core.errors import ConfigError
from tests.artrec_core.config.recipes import write_recipe

# Old key in a recipe -> the text that sets it, the key as the error names it, the new key.
OLD_KEYS = {
    "events.people": (
        '[[events]]\nname = "v"\nkind = "simulated"\npeople = 3\n', "events.0.people", "events.0.users"),
    "gate.min_people": ("[gate]\nmin_people = 3\n", "gate.min_people", "gate.min_users"),
    "rules.max_events_per_person_day": (
        "[rules]\nmax_events_per_person_day = 3\n", "rules.max_events_per_person_day", "rules.max_events_per_user_day"),
    "score.finalists": ("[score]\nfinalists = 3\n", "score.finalists", "score.candidates"),
    "score.shard_people": ("[score]\nshard_people = 3\n", "score.shard_people", "score.shard_users"),
    "strategies.exploration.people": (
        '[[strategies]]\nname = "main"\n[strategies.exploration]\npeople = 3\n',
        "strategies.0.exploration.people", "strategies.0.exploration.max_users"),
    "tune.grace_passes": ("[tune]\ngrace_passes = 3\n", "tune.grace_passes", "tune.grace_epochs"),
}  # fmt: skip


@pytest.mark.parametrize("old_key", RENAMED_KEYS)
def test_an_old_key_in_a_recipe_is_an_error_that_names_the_new_one(tmp_path: Path, old_key: str) -> None:
    text, key, new_key = OLD_KEYS[old_key]
    path = write_recipe(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: `{key}` is called `{new_key}` now; rename it in this file"


@pytest.mark.parametrize("old_key", RENAMED_KEYS)
def test_an_old_key_in_an_override_is_an_error_that_names_the_new_one(tmp_path: Path, old_key: str) -> None:
    text, key, new_key = OLD_KEYS[old_key]
    path = write_recipe(tmp_path, text.replace("people = 3\n", "") if "[[" in text else "")
    with pytest.raises(ConfigError) as caught:
        load(path, [f"{key}=3"])
    assert str(caught.value) == f"{path}: `{key}` is called `{new_key}` now; rename it in --set"


@pytest.mark.parametrize("old_key", RENAMED_KEYS)
def test_a_new_key_is_a_key_of_the_recipe(tmp_path: Path, old_key: str) -> None:
    text, key, new_key = OLD_KEYS[old_key]
    old_name, new_name = key.rpartition(".")[2], new_key.rpartition(".")[2]
    load(write_recipe(tmp_path, text.replace(f"{old_name} = 3", f"{new_name} = 3")))


def test_a_key_of_the_same_name_elsewhere_was_not_renamed() -> None:
    assert renamed_key(("events", 2, "people")) == "events.2.users"
    assert renamed_key(("score", "people")) is None
    assert renamed_key(("people",)) is None
