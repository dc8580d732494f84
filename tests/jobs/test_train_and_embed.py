"""The steps train and embed on a small night: a tiny random text tower, in one process."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch

from artrec_core.columns import CATALOGUE, USER, conform
from artrec_core.config import Recipe, load
from artrec_core.errors import ArtrecError, GateFailed
from artrec_core.lake import Lake
from artrec_core.model.registry import Registry
from artrec_core.model.training_split import read_training_split
from jobs import embed, train
from jobs.embedding import documents
from jobs.step import Night, StepManifest, run_step
from jobs.training.stages import stages_of
from tests.artrec_core.model.worlds import WORDS, history, tiny_settings
from tests.conftest import ROOT

DAY, NEXT = "2026-03-30", "2026-03-31"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load(ROOT / "infra" / "recipes" / "demo.toml", tiny_settings(tmp_path))


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
    (told,) = Registry(recipe.store).promotions()
    assert (told.version, told.by, told.why) == ("1", "train", train.FIRST_CHAMPION)
    assert {"seed", "data", "code_version", "fingerprint"} <= versions[0].tags.keys()
    note = json.loads(Lake(recipe.store.lake).read_note(train.NOTE, DAY) or b"")
    assert {"loss", "validation"} <= set(next(line for line in note["lines"] if "epoch" in line))
    last = [stage.text.split(", loss")[0] for stage in stages_of(note["lines"])]
    assert last[0] == "text tower epoch 1 of 1, step 1 of 1"
    assert last[1] == "user tower epoch 2 of 2"


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
    # Training encoded every document for the first champion.
    assert (first["documents_encoded"], first["documents_reused"], first["people_encoded"]) == (0, 20, 9)
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
    stated, restated = (lake.read("interest_vectors", day) for day in (DAY, NEXT))
    assert stated["interests"].to_list() == ["blue boat"]
    assert stated["text_tower"].to_list() == lake.read("text_vectors", NEXT)["text_tower"].unique().to_list()
    assert restated.equals(stated)


def test_an_embed_killed_between_shards_takes_up_after_the_last(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    prepared(recipe, NEXT, works=40)
    monkeypatch.setattr(documents, "DOCUMENTS_IN_SHARD", 8)
    night = Night(recipe, NEXT)
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
            run_step(embed.STEP, recipe, NEXT)
    assert night.lake.find_manifest("text_vectors", NEXT) is None
    with monkeypatch.context() as watched:
        watched.setattr(text_encoder, "encode", counted)
        run_step(embed.STEP, recipe, NEXT)
    # 20 new documents in shards of 8, the second of them twice; the stated interest is known from training.
    assert calls == [8, 8, 8, 4]


def test_a_challenger_is_registered_and_nothing_is_promoted(recipe: Recipe):
    prepared(recipe, DAY)
    made = run_step(train.CHALLENGER, recipe, DAY)
    registry = Registry(recipe.store)
    assert registry.champion() is None
    assert [version.aliases for version in registry.versions()] == [("challenger",)]
    # The night needs a champion: the same version becomes it, without another training.
    again = run_step(train.IF_NEEDED, recipe, DAY)
    assert (made.figures["version"], again.figures["champion"]) == ("1", "1")
    assert again.seconds < made.seconds
    assert len(registry.versions()) == 1


def test_a_training_killed_between_registering_and_promoting_goes_on(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    prepared(recipe, DAY)
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "promote", _die)
        with pytest.raises(KeyboardInterrupt):
            run_step(train.IF_NEEDED, recipe, DAY)
    assert run_step(train.IF_NEEDED, recipe, DAY).figures["champion"] == "1"


def test_a_broken_model_is_never_registered(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    from artrec_core.model.two_tower import TwoTower

    prepared(recipe, DAY)
    with monkeypatch.context() as broken:
        broken.setattr(TwoTower, "artwork_vectors", lambda self, text, rows: torch.ones(len(rows), self.shape.dim))
        with pytest.raises(GateFailed, match="not registered, because it gives every artwork the same score"):
            run_step(train.IF_NEEDED, recipe, DAY)
    load = TwoTower.load

    def spoilt(folder: Path) -> TwoTower:
        tower = load(folder)
        for weight in tower.parameters():
            weight.data.fill_(torch.nan)
        return tower

    with monkeypatch.context() as broken:
        broken.setattr(TwoTower, "load", spoilt)
        with pytest.raises(GateFailed, match="not registered, because the vectors of 8 of 8 users are not finite"):
            run_step(train.IF_NEEDED, recipe, DAY)
    assert Registry(recipe.store).versions() == []


def test_without_a_holdout_everything_is_learnt_from_and_nothing_is_measured(recipe: Recipe):
    prepared(recipe, DAY)
    held = run_step(train.STEP, recipe, DAY)
    everything = recipe.model_copy(update={"train": recipe.train.model_copy(update={"holdout": False})})
    made = run_step(train.STEP, everything, DAY)
    assert (made.figures["version"], made.figures["people_tested"]) == ("2", 0)
    assert "model" not in made.figures
    # As many epochs as validated best with a holdout.
    assert made.figures["epochs"] == held.figures["epochs"]
    version = Registry(recipe.store).versions()[-1]
    assert (version.tags["holdout"], version.aliases) == ("false", ("challenger",))
    note = json.loads(Lake(recipe.store.lake).read_note(train.NOTE, DAY) or b"")
    assert not any("validation" in line for line in note["lines"])


def test_without_a_holdout_the_workers_get_every_event(recipe: Recipe):
    prepared(recipe, DAY)
    lake = Lake(recipe.store.lake)
    held, whole = (read_training_split(lake, DAY, holdout=holdout) for holdout in (True, False))
    assert (len(held.test_users), len(whole.test_users), whole.validation.shape) == (8, 0, (0, 2))
    told = Lake(recipe.store.lake).read("histories", DAY)
    assert whole.held_out.train.equals(told)
    assert len(whole.before_test.artworks) == told.height
    assert len(held.before_test.artworks) < told.height


def test_a_night_after_a_rollback_is_served_by_the_version_that_came_back(recipe: Recipe):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    other = recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": 1})})
    run_step(train.STEP, other, DAY)
    registry, lake = Registry(recipe.store), Lake(recipe.store.lake)
    registry.promote("2", "better")
    run_step(embed.STEP, recipe, DAY)
    registry.roll_back(None, "complaints")
    prepared(recipe, NEXT)
    run_step(embed.STEP, recipe, NEXT)
    served = {
        day: {lake.read(table, day)["model_version"].unique().item() for table in ("item_vectors", "user_vectors")}
        for day in (DAY, NEXT)
    }
    assert served == {DAY: {"2"}, NEXT: {"1"}}
    # The night that was served by the other is embedded anew when it is run again.
    run_step(embed.STEP, recipe, DAY)
    assert lake.manifest("item_vectors", DAY).model_version == "1"


def seeded(recipe: Recipe, seed: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed})})


def with_registry_anew(recipe: Recipe, folder: Path) -> Recipe:
    """The registry is lost and begins again, whose first version is version 1 too; the lake is kept."""
    return recipe.model_copy(
        update={"store": recipe.store.model_copy(update={"mlflow": f"sqlite:///{folder}/anew.db"})}
    )


def test_vectors_of_another_model_of_the_same_name_are_never_taken_over(recipe: Recipe, tmp_path: Path):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    lake = Lake(recipe.store.lake)
    before = lake.read("user_vectors", DAY)
    recipe = with_registry_anew(recipe, tmp_path)
    run_step(train.STEP, seeded(recipe, 1), DAY)
    again = run_step(embed.STEP, recipe, DAY).figures
    assert (again["model_version"], again["people_encoded"], again["people_reused"]) == ("1", 9, 0)
    assert not lake.read("user_vectors", DAY).equals(before)
    prepared(recipe, NEXT)
    following = run_step(embed.STEP, recipe, NEXT).figures
    assert (following["people_encoded"], following["people_reused"]) == (0, 9)
    assert lake.read("user_vectors", NEXT).equals(lake.read("user_vectors", DAY))


def test_the_same_model_in_a_registry_made_anew_is_known_again(recipe: Recipe, tmp_path: Path):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    recipe = with_registry_anew(recipe, tmp_path)
    run_step(train.STEP, recipe, DAY)
    prepared(recipe, NEXT)
    assert run_step(embed.STEP, recipe, NEXT).figures["people_reused"] == 9


def test_a_version_whose_files_are_gone_is_trained_again(recipe: Recipe, capsys: pytest.CaptureFixture[str]):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    shutil.rmtree(recipe.store.artifacts)
    with pytest.raises(ArtrecError, match=f"train again with `artrec train --date {DAY}`"):
        run_step(embed.STEP, recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    assert "unchanged" not in capsys.readouterr().out
    assert [version.aliases for version in Registry(recipe.store).versions()] == [("champion",)]
    assert run_step(embed.STEP, recipe, DAY).figures["model_version"] == "1"


def test_a_new_version_serves_where_the_champions_files_are_gone(recipe: Recipe):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    registry = Registry(recipe.store)
    shutil.rmtree(registry.fetch(registry.version("1")))
    made = run_step(train.STEP, seeded(recipe, 1), DAY)
    assert (made.figures["version"], made.figures["champion"]) == ("2", "2")
    assert registry.promotions()[-1].why == "the files of version 1 are gone; there was nothing to compare it with"
    # A retrain leaves it to the gate, and trains what is gone.
    assert run_step(train.CHALLENGER, recipe, DAY).figures["version"] == "1"
    assert registry.has_files(registry.version("1"))


def test_an_earlier_night_whose_files_are_gone_is_only_not_taken_over(recipe: Recipe, tmp_path: Path):
    prepared(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    run_step(embed.STEP, recipe, DAY)
    for table in embed.TABLES:
        next((tmp_path / "lake" / table / f"run_date={DAY}").glob("part-*")).unlink()
    prepared(recipe, NEXT)
    figures = run_step(embed.STEP, recipe, NEXT).figures
    assert (figures["documents_encoded"], figures["people_encoded"]) == (20, 9)
