"""The steps of a night: each is found by its name, and together they write every table of a night once."""

import pytest

from artrec_core.columns import LAKE
from jobs.steps import STEPS, find_step


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_found_by_the_name_of_its_command(name: str) -> None:
    assert find_step(name).name == name


def test_another_step_of_a_module_is_found_by_its_variant() -> None:
    assert find_step("train", "CHALLENGER") is not find_step("train")


def test_each_table_of_the_lake_is_written_by_one_step() -> None:
    outputs = [table for name in STEPS for table in find_step(name).outputs]
    # `all_pairs` is written only where the recipe asks for it.
    assert sorted(outputs) == sorted(set(LAKE) - {"all_pairs"})


def test_a_table_is_written_before_the_tables_that_are_made_from_it() -> None:
    order = [table for name in STEPS for table in find_step(name).outputs]
    for source, product in [
        ("raw_events", "events_checked"),
        ("events_checked", "histories"),
        ("histories", "user_vectors"),
        ("user_vectors", "recommendations"),
    ]:
        assert order.index(source) < order.index(product)
