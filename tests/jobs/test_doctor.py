"""`artrec doctor`: a line for each check, advice for each fault, and an error at the end if there is a fault."""

import re
from pathlib import Path

import pytest

from artrec_core.config import load
from artrec_core.errors import ArtrecError
from artrec_core.processor import describe_machine
from jobs.doctor import command, machine_findings, recipe_findings
from tests.conftest import ROOT
from tests.jobs.published_world import store_overrides

DEMO = "infra/recipes/demo.toml"


def verdicts(out: str) -> dict[str, str]:
    """`ok` or `wrong`, by the name of the check."""
    matches = (re.match(r"(ok|wrong) +(.+?)  ", line) for line in out.splitlines())
    return {match[2]: match[1] for match in matches if match}


def test_stores_that_can_be_used_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(DEMO, store_overrides(tmp_path))
    assert "wrong" not in verdicts(capsys.readouterr().out).values()


def test_every_store_that_cannot_be_used_is_named_with_advice_and_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    addresses = {
        "warehouse": "postgresql://u:s3cret@127.0.0.1:9/none",
        "mlflow": "http://u:s3cret@127.0.0.1:9",
        "artifacts": f"{tmp_path}/file/artifacts",
        "models": "/proc/models",
    }
    with pytest.raises(ArtrecError, match=r"4 of .* checks failed"):
        command(DEMO, store_overrides(tmp_path, **addresses))
    out = capsys.readouterr().out
    wrong = {check for check, verdict in verdicts(out).items() if verdict == "wrong"}
    assert wrong == {"warehouse", "MLflow", "artifacts", "models cache"}
    text = " ".join(out.split())
    for advice in ("store.warehouse", "MLflow at http://***@127.0.0.1:9", "set store.artifacts to another path"):
        assert advice in text
    assert "s3cret" not in out


def test_an_absent_source_is_a_fault_only_if_it_is_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def source(name: str, required: str) -> list[str]:
        return [f"sources.0.{key}={value}" for key, value in {"name": name, "required": required}.items()]

    absent = ["sources.0.kind=tate", f"sources.0.path={tmp_path}/none.jsonl"]
    command(DEMO, [*store_overrides(tmp_path), *absent, *source("tate", "false")])
    with pytest.raises(ArtrecError, match="1 of"):
        command(DEMO, [*store_overrides(tmp_path), *absent, *source("tate", "true")])
    assert "ARTREC_DATA" in capsys.readouterr().out


def test_the_processor_and_its_automatic_precision_are_shown(small_processor: None) -> None:
    observed = {finding.check: finding.observed for finding in machine_findings()}
    assert observed["processors"].endswith("AVX2")
    assert observed["processors"].startswith(describe_machine().split(",")[0])
    assert observed["precision auto"] == "float32 on this processor"


def test_products_that_fall_back_are_a_notice_and_not_a_fault(small_processor: None, tmp_path: Path) -> None:
    overrides = ['model.precision="int8"', 'train.launcher="process"', f'store.lake="{tmp_path}"']
    recipe = load(ROOT / "infra" / "recipes" / "demo.toml", overrides)
    notices = [finding for finding in recipe_findings(recipe) if finding.check == "products"]
    assert [finding.passed for finding in notices] == [None]
    assert "no instructions for int8 products" in notices[0].observed
