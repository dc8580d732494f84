from pathlib import Path

import pytest

from artrec_core.config import Store
from artrec_core.errors import ArtrecError
from artrec_core.model.registry import CHALLENGER, CHAMPION, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(
        Store(
            lake=str(tmp_path / "lake"),
            warehouse=str(tmp_path / "warehouse.duckdb"),
            mlflow=f"sqlite:///{tmp_path}/mlflow.db",
            artifacts=str(tmp_path / "artifacts"),
            work=str(tmp_path / "work"),
        )
    )


def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_before_anything_was_trained_there_is_nothing_and_nothing_is_made(registry: Registry, tmp_path: Path):
    assert registry.champion() is None
    assert registry.versions() == []
    assert not (tmp_path / "mlflow.db").exists()


def test_a_version_is_registered_once_and_served_when_promoted(registry: Registry, tmp_path: Path):
    folder = model(tmp_path)
    run = registry.start_run("artrec", {"fingerprint": "abc"}, {"seed": 1})
    registry.log_metrics(run, [("test/ndcg@10", 0.2, 0)])
    first = registry.register(folder, {"model": {"ndcg@10": 0.2}}, {"fingerprint": "abc", "seed": "0"}, run)
    registry.end_run(run)
    again = registry.register(folder, {}, {"fingerprint": "abc"})
    assert first.name == again.name == "1"
    assert first.aliases == (CHALLENGER,)
    assert registry.champion() is None
    assert registry.promote(first, "the first").aliases == (CHAMPION,)
    second = registry.register(folder, {}, {"fingerprint": "def"})
    assert [version.name for version in registry.versions()] == ["1", "2"]
    champion = registry.champion()
    assert champion is not None
    assert champion.name == "1"
    assert champion.figures == {"model": {"ndcg@10": 0.2}}
    assert (registry.fetch(champion) / "config.json").exists()
    registry.promote(second, "better")
    assert registry.promote("1", "rolled back").aliases == (CHAMPION,)


def test_a_version_that_is_not_there_is_named(registry: Registry, tmp_path: Path):
    registry.register(model(tmp_path), {}, {"fingerprint": "abc"})
    with pytest.raises(ArtrecError, match="'7'"):
        registry.promote("7", "why")
