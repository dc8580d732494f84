"""Does the model beat popularity, ALS and EASE on the demo world, and does it gain from text?

`python tests/benchmarks/demo_quality.py --seeds 201 202 203 [--set train.user_epochs=20 …]`

For each seed of the generator of SIMULATED visitors, the demo night is run up to `train` by the same commands as every
night, in a store of its own. Beside the model stand the baselines, the same model with the documents shuffled among the
works (what is left then is not text), and an oracle that knows the visitors' true tastes: the ceiling. Leave-one-out by
time, the full catalogue ranked, seen works left out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, DOCUMENT, OCCURRED_AT, POSITIVE, USER_ID
from artrec_core.config import Recipe, load
from artrec_core.data.holdout import leave_one_out
from artrec_core.evaluation.metrics import rank_accuracy, ranks_of_scores
from artrec_core.evaluation.ranking import KS, seen_matrix
from artrec_core.model.sequences import build_sequences
from artrec_core.processor import describe_machine
from jobs.crawl import Crawl
from jobs.step import Night
from jobs.train import NOTE, in_catalogue

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "infra" / "recipes" / "demo.toml")
DAY = "2026-03-30"
FIGURES = ("hr@10", "ndcg@10", "mrr@20")


def overrides(folder: Path, seed: int, given: list[str]) -> list[str]:
    """The demo recipe in a store of its own, with visitors of this seed."""
    store = {name: folder / name for name in ("lake", "artifacts", "work")} | {"warehouse": folder / "w.duckdb"}
    places = [f"store.{name}={json.dumps(str(path))}" for name, path in store.items()]
    return [*places, f'store.mlflow="sqlite:///{folder}/mlflow.db"', f"events.0.seed={seed}", *given]


def run(step: str, settings: list[str]) -> None:
    """One step of the night, as a command."""
    options = [part for setting in settings for part in ("--set", setting)]
    subprocess.run(
        [sys.executable, "-m", f"jobs.{step}", "--config", CONFIG, "--date", DAY, *options], cwd=ROOT, check=True
    )


def measured(
    folder: Path, seed: int, given: list[str], *, shuffled: bool
) -> tuple[Recipe, dict[str, dict[str, float]]]:
    """The figures of a training run: of the model and of each baseline."""
    settings = overrides(folder, seed, given)
    recipe = load(CONFIG, settings)
    for step in ("crawl", "validate", "prepare"):
        run(step, settings)
    if shuffled:
        shuffle_documents(Night(recipe, DAY), seed)
    run("train", settings)
    note = Night(recipe, DAY).lake.read_note(NOTE, DAY)
    assert note is not None
    figures = json.loads(note)["figures"]
    return recipe, {
        name: values for name, values in figures.items() if isinstance(values, dict) and "ndcg@10" in values
    }


def shuffle_documents(night: Night, seed: int) -> None:
    """Give every work the document, and the makers and subjects it may be asked for by, of another work."""
    catalogue = night.lake.read("catalogue", DAY)
    order = np.random.default_rng(seed).permutation(catalogue.height)
    mixed = catalogue.select(ARTWORK_ID).with_columns(catalogue[order].drop(ARTWORK_ID).get_columns())
    night.commit("catalogue", {"shuffled": [night.lake.write_part("catalogue", DAY, mixed.select(catalogue.columns))]})
    assert mixed[DOCUMENT].to_list() != catalogue[DOCUMENT].to_list()


def oracle(recipe: Recipe) -> dict[str, float]:
    """The figures of true tastes on the works that are held out."""
    night = Night(recipe, DAY)
    catalogue = night.lake.read("catalogue", DAY).sort(ARTWORK_ID)
    histories = in_catalogue(night.lake.read("histories", DAY), catalogue)
    held_out = leave_one_out(histories)
    last = histories.filter(POSITIVE).group_by(USER_ID).agg(pl.col(OCCURRED_AT).last())
    test = held_out.test.join(last, on=USER_ID, how="left", maintain_order="left")
    people, works = test[USER_ID].to_list(), catalogue[ARTWORK_ID].to_list()
    truth = Crawl(night).simulation(recipe.events[0].name).truth
    scores = truth.scores(people, works, test[OCCURRED_AT].to_list())
    row = {one: number for number, one in enumerate(works)}
    targets = np.array([row[one] for one in test[ARTWORK_ID].to_list()], np.int64)
    exclude = seen_matrix(build_sequences(held_out.before_test, people, works), len(works))
    better, tied = ranks_of_scores(scores.astype(np.float32), targets, exclude=exclude)
    return {name: float(values.mean()) for name, values in rank_accuracy(better, tied, KS).items()}


def compared(seed: int, given: list[str]) -> dict[str, dict[str, float]]:
    """All figures of one seed."""
    with tempfile.TemporaryDirectory() as place:
        recipe, found = measured(Path(place) / "true", seed, given, shuffled=False)
        ceiling = oracle(recipe)
        _, without = measured(Path(place) / "shuffled", seed, given, shuffled=True)
    return {**found, "model, shuffled documents": without["model"], "oracle (true tastes)": ceiling}


def show(seed: int, found: dict[str, dict[str, Any]]) -> None:
    """A table of one seed."""
    print(f"\nseed {seed} (simulated visitors), {', '.join(FIGURES)}")
    for name, values in sorted(found.items(), key=lambda one: one[1]["ndcg@10"]):
        print(f"  {name:28s}" + "".join(f"{values[figure]:9.4f}" for figure in FIGURES), flush=True)


def main() -> None:
    """Measure each seed and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203])
    parser.add_argument("--set", action="append", default=[], dest="given", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    print(describe_machine())
    for seed in arguments.seeds:
        show(seed, compared(seed, arguments.given))


if __name__ == "__main__":
    main()
