import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artrec_core.config import Store
from artrec_core.errors import ArtrecError
from artrec_core.model.registry import CHALLENGER, CHAMPION, ChampionChanged, Registry


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


def model(tmp_path: Path, weights: str = "1 2 3") -> Path:
    folder = tmp_path / f"model of {weights}"
    (folder / "text").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "text" / "weights").write_text(weights)
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


def register_versions(registry: Registry, tmp_path: Path, count: int) -> None:
    folder = model(tmp_path)
    for number in range(count):
        registry.register(folder, {}, {"fingerprint": f"f{number}"})


def test_a_promotion_keeps_why_by_whom_and_in_whose_place(registry: Registry, tmp_path: Path):
    register_versions(registry, tmp_path, 2)
    registry.promote("1", "the first", by="train")
    tags = registry.promote("2", "better", by="gate").tags
    assert (tags["why"], tags["promoted_by"], tags["promoted_from"]) == ("better", "gate", "1")
    promotions = [(entry.version, entry.instead_of, entry.why, entry.by) for entry in registry.promotions()]
    assert promotions == [("1", None, "the first", "train"), ("2", "1", "better", "gate")]
    registry.promote("2", "once more", by="gate")
    assert registry.version("2").tags["why"] == "better"
    assert len(registry.promotions()) == 2


def test_the_champion_is_rolled_back_to_the_one_before_and_then_further(registry: Registry, tmp_path: Path):
    register_versions(registry, tmp_path, 3)
    for name in ("1", "2", "3"):
        registry.promote(name, "better")
    assert registry.roll_back(None, "complaints").name == "2"
    assert registry.latest_rollback("3") is not None
    assert registry.latest_rollback("2") is None
    assert registry.roll_back(None, "more complaints").name == "1"
    with pytest.raises(ArtrecError, match="nothing to roll back to"):
        registry.roll_back(None, "even more")
    champion = registry.champion()
    assert champion is not None
    assert champion.name == "1"
    assert [promotion.back for promotion in registry.promotions()] == [False, False, False, True, True]


def test_only_what_served_is_rolled_back_to(registry: Registry, tmp_path: Path):
    register_versions(registry, tmp_path, 3)
    registry.promote("1", "first")
    registry.promote("3", "better")
    with pytest.raises(ArtrecError, match="version 2 did not serve before the champion"):
        registry.roll_back("2", "why not")
    with pytest.raises(ArtrecError, match="no model version '9'"):
        registry.roll_back("9", "why not")
    assert registry.roll_back("1", "named").aliases == ("champion",)


def test_a_promotion_killed_before_the_alias_moved_never_was(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    register_versions(registry, tmp_path, 3)
    registry.promote("1", "first")
    with monkeypatch.context() as killed:
        killed.setattr(registry.client, "set_registered_model_alias", _die)
        with pytest.raises(KeyboardInterrupt):
            registry.promote("2", "better")
    assert [promotion.version for promotion in registry.promotions()] == ["1"]
    assert registry.earlier_champions() == []
    registry.promote("3", "better still")
    assert [promotion.version for promotion in registry.promotions()] == ["1", "3"]
    assert registry.earlier_champions() == ["1"]


def test_a_version_registered_by_a_killed_run_becomes_the_challenger_when_it_is_run_again(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = model(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(registry.client, "set_registered_model_alias", _die)
        with pytest.raises(KeyboardInterrupt):
            registry.register(folder, {}, {"fingerprint": "abc"})
    assert registry.register(folder, {}, {"fingerprint": "abc"}).aliases == (CHALLENGER,)
    assert len(registry.versions()) == 1


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_registry_that_does_not_answer_is_not_taken_for_an_empty_one(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Registry(registry.store.model_copy(update={"mlflow": "http://127.0.0.1:9"}))
    for ask in (away.champion, away.versions, away.check):
        with pytest.raises(ArtrecError, match="cannot be read"):
            ask()


def test_a_model_is_known_by_its_files_whatever_registry_names_it(registry: Registry, tmp_path: Path):
    first = registry.register(model(tmp_path), {}, {"fingerprint": "abc"})
    anew = Registry(registry.store.model_copy(update={"mlflow": f"sqlite:///{tmp_path}/anew.db"}))
    other = anew.register(model(tmp_path, "3 2 1"), {}, {"fingerprint": "abc"})
    assert (first.name, other.name) == ("1", "1")
    assert first.model_digest != other.model_digest
    # What the same inputs made on another machine is served, not what was left of the first.
    assert (anew.fetch(other) / "text" / "weights").read_text() == "3 2 1"
    assert anew.register(model(tmp_path / "again"), {}, {"fingerprint": "def"}).model_digest == first.model_digest


def test_a_version_whose_files_are_gone_or_cut_short_says_so(registry: Registry, tmp_path: Path):
    version = registry.register(model(tmp_path), {}, {"fingerprint": "abc", "run_date": "2026-03-30"})
    weights = registry.fetch(version) / "text" / "weights"
    weights.write_text("1 2")
    assert not registry.has_files(version)
    weights.unlink()
    with pytest.raises(ArtrecError, match="restore them, or train again with `artrec train --date 2026-03-30`"):
        registry.fetch(version)


def test_lost_files_are_put_back_under_their_version_and_other_ones_are_another_version(
    registry: Registry, tmp_path: Path
):
    first = registry.register(model(tmp_path), {}, {"fingerprint": "abc"})
    shutil.rmtree(registry.store.artifacts)
    same = registry.register(model(tmp_path / "again"), {}, {"fingerprint": "abc"})
    assert (same.name, registry.has_files(first)) == ("1", True)
    (registry.fetch(first) / "text" / "weights").unlink()
    other = registry.register(model(tmp_path, "3 2 1"), {}, {"fingerprint": "abc"})
    assert (other.name, other.aliases) == ("2", (CHALLENGER,))
    version = registry.find("abc")
    assert version is not None
    assert (version.name, registry.has_files(version)) == ("2", True)


def test_of_two_that_decide_at_once_one_promotes(registry: Registry, tmp_path: Path):
    register_versions(registry, tmp_path, 3)
    registry.promote("1", "the first", instead_of=None)
    registry.promote("2", "better", instead_of="1")
    with pytest.raises(ChampionChanged, match="was to replace 1, but the champion is now 2"):
        registry.promote("3", "better", instead_of="1")
    assert registry.promote("2", "once more", instead_of="1").aliases == (CHAMPION,)


def test_what_is_registered_and_promoted_at_once_is_one_version_and_one_champion(registry: Registry, tmp_path: Path):
    folder = model(tmp_path)

    def train(number: int) -> tuple[str, bool]:
        own = Registry(registry.store)
        version = own.register(folder, {}, {"fingerprint": "same"})
        own.start_run("artrec", {"fingerprint": f"{number}"}, {})
        try:
            own.promote(own.register(folder, {}, {"fingerprint": f"own {number}"}), "first", instead_of=None)
        except ChampionChanged:
            return version.name, False
        return version.name, True

    with ThreadPoolExecutor(4) as together:
        ended = list(together.map(train, range(4)))
    assert len({name for name, _ in ended}) == 1
    assert sum(promoted for _, promoted in ended) == 1
    assert len(registry.versions()) == 5
    assert len(registry.promotions()) == 1


@pytest.mark.parametrize("promoted", [None, "4"])
def test_a_step_back_is_taken_from_the_champion_that_was_looked_at(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promoted: str | None
):
    register_versions(registry, tmp_path, 4)
    for name in ("1", "2", "3"):
        registry.promote(name, "better")

    def meanwhile() -> list[str]:
        # Somebody else steps back, or promotes, at the same moment.
        other = Registry(registry.store)
        other.promote(promoted, "better") if promoted else other.roll_back(None, "complaints")
        return ["1", "2"]

    monkeypatch.setattr(registry, "earlier_champions", meanwhile)
    if promoted is None:
        assert registry.roll_back(None, "complaints").name == "2"
        assert len(registry.promotions()) == 4
    else:
        with pytest.raises(ChampionChanged, match="but the champion is now 4"):
            registry.roll_back(None, "complaints")
