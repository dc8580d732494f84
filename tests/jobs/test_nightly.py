"""`artrec nightly`: every step in its order and in a process of its own, until one fails."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from artrec_core.errors import ArtrecError, ConfigError
from jobs.nightly import command
from jobs.steps import STEPS
from tests.conftest import ROOT

DAY = "2026-03-30"
RECIPE = str(ROOT / "infra" / "recipes" / "demo.toml")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the command lines that a stand-in for Python got; the step `embed` fails if the file `broken` exists."""
    calls, python = tmp_path / "calls", tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\nif [ "$2" = jobs.embed ] && [ -e {tmp_path}/broken ]; then exit 3; fi\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr("jobs.nightly.sys", SimpleNamespace(executable=str(python)))
    return calls


def test_every_step_runs_in_order_with_date_recipe_and_overrides(
    calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(RECIPE, DAY, ["score.k=5"])
    assert calls.read_text().splitlines() == [
        " ".join(["-m", f"jobs.{step}", "--config", RECIPE, "--date", DAY, *arguments, "--set", "score.k=5"])
        for step, arguments in STEPS.items()
    ]
    assert capsys.readouterr().out.startswith(f"nightly {DAY}: done in ")


def test_a_step_that_fails_stops_the_night_and_is_named(calls: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(ArtrecError, match=rf"stopped at embed \(exit status 3\).*`artrec nightly --config .* {DAY}`"):
        command(RECIPE, DAY)
    steps = [line.split()[1] for line in calls.read_text().splitlines()]
    assert steps == ["jobs.crawl", "jobs.validate", "jobs.prepare", "jobs.train", "jobs.embed"]


@pytest.mark.parametrize(
    ("date", "overrides", "error"), [("2026-3-30", [], ArtrecError), (DAY, ["score.kk=5"], ConfigError)]
)
def test_a_wrong_date_or_recipe_starts_no_step(
    date: str, overrides: list[str], error: type[ArtrecError], calls: Path
) -> None:
    with pytest.raises(error):
        command(RECIPE, date, overrides)
    assert not calls.exists()
