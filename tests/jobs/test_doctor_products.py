"""What `doctor` says of the processor's products."""

from pathlib import Path

from artrec_core.config import load
from artrec_core.processor import describe_machine
from jobs.doctor import machine_findings, recipe_findings
from tests.conftest import ROOT


def test_the_processor_and_what_auto_stands_for_are_told(small_processor: None):
    seen = {finding.what: finding.seen for finding in machine_findings()}
    assert seen["processors"].endswith("AVX2")
    assert seen["processors"].startswith(describe_machine().split(",")[0])
    assert seen["precision auto"] == "float32 on this processor"


def test_products_that_fall_back_are_told_and_fail_no_check(small_processor: None, tmp_path: Path):
    overrides = ['model.precision="int8"', 'train.launcher="process"', f'store.lake="{tmp_path}"']
    recipe = load(ROOT / "infra" / "recipes" / "demo.toml", overrides)
    told = [finding for finding in recipe_findings(recipe) if finding.what == "products"]
    assert [finding.fine for finding in told] == [None]
    assert "no instructions for int8 products" in told[0].seen
