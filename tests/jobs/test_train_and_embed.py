"""The steps train and embed on a small night: a tiny random text tower, in one process."""

import json
from pathlib import Path

import polars as pl
import pytest

from artrec_core.columns import CATALOGUE, USER, conform
from artrec_core.config import Recipe, load
from artrec_core.errors import GateFailed
from artrec_core.lake import Lake
from artrec_core.model.registry import Registry
from jobs import embed, train
from jobs.step import Night, StepManifest, run_step
from tests.artrec_core.model.worlds import WORDS, history, tiny_model
from tests.conftest import ROOT

DAY, NEXT = "2026-03-30", "2026-03-31"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    names = {name: tmp_path / name for name in ("lake", "artifacts", "work")} | {"warehouse": tmp_path / "w.duckdb"}
    settings = {f"store.{name}": json.dumps(str(path)) for name, path in names.items()} | {
        "store.mlflow": f'"sqlite:///{tmp_path}/mlflow.db"',
        "model.base": f'"folder:{tiny_model(tmp_path / "base")}"',
        "model.dim": "16",
        "model.max_tokens": "16",
        "train.launcher": '"process"',
        "train.user_epochs": "2",
        "train.text_epochs": "1",
    }
    return load(ROOT / "infra" / "recipes" / "demo.toml", [f"{key}={value}" for key, value in settings.items()])


def prepared(recipe: Recipe, day: str, works: int = 20, changed: str | None = None, people: int = 8) -> None:
    """Commit a small catalogue, its histories and its people, as `prepare` would."""
    lake = Lake(recipe.store.lake)
    rows = [
        {
            "artwork_id": f"w{row:02d}",
            "title": "new title" if f"w{row:02d}" == changed else WORDS[row % len(WORDS)],
            "content_hash": f"{row}{f'w{row:02d}' == changed}",
            "document": f"the {'blue boat' if row % 2 else 'red horse'} {row}{' new' if f'w{row:02d}' == changed else ''}",
        }
        for row in range(works)
    ]
    events = [
        (f"p{person}", f"w{(2 * event + person) % 20:02d}", "like", event, True)
        for person in range(people)
        for event in range(5)
    ]
    tables = {
        "catalogue": conform(pl.DataFrame(rows), CATALOGUE),
        "histories": history(events),
        "people": conform(pl.DataFrame({"user_id": ["quiet"], "interests": ["blue boat"], "simulated": [True]}), USER),
    }
    for table, frame in tables.items():
        lake.commit(table, day, {"all": [lake.write_part(table, day, frame)]}, fingerprint=day, code_version="test")


def figures(manifest: StepManifest) -> dict[str, object]:
    return manifest.figures


def test_training_registers_one_version_measured_beside_the_baselines(recipe: Recipe):
    prepared(recipe, DAY)
    made = run_step(train.STEP, recipe, DAY)
    assert made.figures["version"] == made.figures["champion"] == "1"
    for name in ("model", "popularity", "als", "ease"):
        assert 0 <= made.figures[name]["ndcg@10"] <= 1
    run_step(train.STEP, recipe, DAY)
    versions = Registry(recipe.store).versions()
    assert [version.name for version in versions] == ["1"]
    assert {"seed", "data", "code_version", "fingerprint"} <= versions[0].tags.keys()
    note = json.loads(Lake(recipe.store.lake).read_note(train.NOTE, DAY) or b"")
    assert {"loss", "validation"} <= set(next(line for line in note["lines"] if "epoch" in line))


def test_a_night_with_a_champion_does_not_train(recipe: Recipe):
    prepared(recipe, DAY)
    run_step(train.IF_NEEDED, recipe, DAY)
    prepared(recipe, NEXT, changed="w03")
    assert run_step(train.IF_NEEDED, recipe, NEXT).figures == {"champion": "1", "trained": 0}


def test_a_training_killed_before_it_is_registered_leaves_no_version_and_goes_on(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    prepared(recipe, DAY)
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "register", _die)
        with pytest.raises(KeyboardInterrupt):
            run_step(train.IF_NEEDED, recipe, DAY)
    assert Registry(recipe.store).versions() == []
    made = run_step(train.IF_NEEDED, recipe, DAY)
    assert made.figures["version"] == "1"
    assert Lake(recipe.store.lake).read_note(train.NOTE, DAY) is not None


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_only_what_changed_is_encoded_again(recipe: Recipe):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    first = run_step(embed.STEP, recipe, DAY).figures
    assert (first["documents_encoded"], first["people_encoded"]) == (20, 9)
    prepared(recipe, NEXT, works=21, changed="w03")
    second = run_step(embed.STEP, recipe, NEXT).figures
    assert (second["documents_encoded"], second["documents_reused"]) == (2, 19)
    # The people who have w03 in their history, and nobody else.
    told = Lake(recipe.store.lake).read("histories", NEXT).filter(artwork_id="w03")["user_id"].n_unique()
    assert (second["people_encoded"], second["people_reused"]) == (told, 9 - told)


def test_a_work_taken_over_has_the_vector_it_had(recipe: Recipe):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    prepared(recipe, NEXT, changed="w03")
    run_step(embed.STEP, recipe, NEXT)
    lake = Lake(recipe.store.lake)
    before, after = (lake.read("item_vectors", day).filter(pl.col("artwork_id") != "w03") for day in (DAY, NEXT))
    assert before.equals(after)
    assert lake.read("user_vectors", NEXT)["user_id"].to_list().count("quiet") == 1


def test_an_embed_killed_between_shards_takes_up_after_the_last(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    monkeypatch.setattr(embed, "DOCUMENTS_IN_SHARD", 8)
    night = Night(recipe, DAY)
    from artrec_core.model import text_encoder

    encode, calls = text_encoder.encode, []

    def counted(encoder: object, texts: list[str], **settings: object) -> object:
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(encoder, texts, **settings)  # type: ignore[arg-type]

    with monkeypatch.context() as killed:
        killed.setattr(text_encoder, "encode", counted)
        with pytest.raises(KeyboardInterrupt):
            run_step(embed.STEP, recipe, DAY)
    assert night.lake.find_manifest("text_vectors", DAY) is None
    with monkeypatch.context() as watched:
        watched.setattr(text_encoder, "encode", counted)
        run_step(embed.STEP, recipe, DAY)
    assert calls[:4] == [8, 8, 8, 4]


FIGURES = {"version": "1", "popularity": {"ndcg@10": 0.05}}


def test_a_version_that_beats_the_popular_list_is_promoted_when_asked(recipe: Recipe):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    told = train.promoted(recipe, {**FIGURES, "model": {"ndcg@10": 0.2}})
    assert told == "version 1 is champion now: NDCG@10 0.2000, popularity 0.0500 on the same held-out events"


@pytest.mark.parametrize("figure", [0.05, 0.0, float("nan")])
def test_a_version_that_does_not_is_refused_and_the_champion_stays(recipe: Recipe, figure: float):
    with pytest.raises(GateFailed, match="not promoted"):
        train.promoted(recipe, {**FIGURES, "model": {"ndcg@10": figure}})


def test_a_version_without_figures_is_refused(recipe: Recipe):
    with pytest.raises(GateFailed, match="not promoted"):
        train.promoted(recipe, {"version": "1"})
