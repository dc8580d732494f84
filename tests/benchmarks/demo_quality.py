"""Quality of the model on several demo worlds, and what text contributes.

`python -m tests.benchmarks.demo_quality --seeds 201 202 203 [--set train.user_epochs=20 …]`

For each seed of the generator of SIMULATED visitors, the demo run goes up to `train` with the usual commands, in a
store of its own. Baselines are popularity, ALS and EASE. The same model is also trained with the documents shuffled
among the artworks: what it reaches then does not come from text. An oracle that knows the visitors' true tastes is the
ceiling. Leave-one-out by time; the full catalogue is ranked; seen artworks are excluded.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, DOCUMENT, OCCURRED_AT, POSITIVE, USER_ID
from artrec_core.config import Recipe, load
from artrec_core.data.holdout import in_catalogue, leave_one_out
from artrec_core.evaluation.metrics import rank_accuracy, ranks_of_scores
from artrec_core.evaluation.ranking import KS, seen_matrix
from artrec_core.model.sequences import build_sequences
from jobs.crawl import Crawl
from jobs.step import Night
from jobs.train import NOTE
from tests.benchmarks.readme_tables import ROOT, BenchmarkParser, ReadmeTable, make_caption

TABLE = "demo_quality.py"
CONFIG = str(ROOT / "infra" / "recipes" / "demo.toml")
DAY = "2026-03-30"
METRICS = ("hr@10", "ndcg@10", "mrr@20")

# Values by metric.
MetricValues = dict[str, float]


def all_overrides(folder: Path, seed: int, overrides: list[str]) -> list[str]:
    """Settings of the demo recipe: a store of its own, visitors of this seed, and the given overrides."""
    paths = {name: folder / name for name in ("lake", "artifacts", "work")} | {"warehouse": folder / "w.duckdb"}
    store = [f"store.{name}={json.dumps(str(path))}" for name, path in paths.items()]
    return [*store, f'store.mlflow="sqlite:///{folder}/mlflow.db"', f"events.0.seed={seed}", *overrides]


def run_step_command(step: str, settings: list[str]) -> None:
    arguments = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", f"jobs.{step}", "--config", CONFIG, "--date", DAY, *arguments]
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)


def train_and_measure(
    folder: Path, seed: int, overrides: list[str], *, shuffled: bool
) -> tuple[Recipe, dict[str, MetricValues]]:
    """Run up to `train`; returns the recipe and the metrics of the model and of each baseline."""
    settings = all_overrides(folder, seed, overrides)
    recipe = load(CONFIG, settings)
    for step in ("crawl", "validate", "prepare"):
        run_step_command(step, settings)
    if shuffled:
        shuffle_documents(Night(recipe, DAY), seed)
    run_step_command("train", settings)
    note = Night(recipe, DAY).lake.read_note(NOTE, DAY)
    if note is None:
        raise SystemExit(f"training left no note {NOTE} for {DAY}")
    figures = json.loads(note)["figures"]
    is_metrics = {name: isinstance(values, dict) and "ndcg@10" in values for name, values in figures.items()}
    return recipe, {name: values for name, values in figures.items() if is_metrics[name]}


def shuffle_documents(night: Night, seed: int) -> None:
    """Give every artwork the texts of another artwork: its document, creators and subjects."""
    catalogue = night.lake.read("catalogue", DAY)
    order = np.random.default_rng(seed).permutation(catalogue.height)
    others = catalogue[order].drop(ARTWORK_ID).get_columns()
    shuffled = catalogue.select(ARTWORK_ID).with_columns(others).select(catalogue.columns)
    night.commit("catalogue", {"shuffled": [night.lake.write_part("catalogue", DAY, shuffled)]})
    assert shuffled[DOCUMENT].to_list() != catalogue[DOCUMENT].to_list()


def measure_oracle(recipe: Recipe) -> MetricValues:
    """The metrics of the visitors' true tastes on the held-out artworks."""
    night = Night(recipe, DAY)
    catalogue = night.lake.read("catalogue", DAY).sort(ARTWORK_ID)
    histories = in_catalogue(night.lake.read("histories", DAY), catalogue)
    held_out = leave_one_out(histories)
    last_times = histories.filter(POSITIVE).group_by(USER_ID).agg(pl.col(OCCURRED_AT).last())
    test = held_out.test.join(last_times, on=USER_ID, how="left", maintain_order="left")
    user_ids, artwork_ids = test[USER_ID].to_list(), catalogue[ARTWORK_ID].to_list()
    truth = Crawl(night).simulation(recipe.events[0].name).truth
    scores = truth.scores(user_ids, artwork_ids, test[OCCURRED_AT].to_list())
    row_of = {artwork_id: row for row, artwork_id in enumerate(artwork_ids)}
    targets = np.array([row_of[artwork_id] for artwork_id in test[ARTWORK_ID].to_list()], np.int64)
    exclude = seen_matrix(build_sequences(held_out.before_test, user_ids, artwork_ids), len(artwork_ids))
    better, tied = ranks_of_scores(scores.astype(np.float32), targets, exclude=exclude)
    return {name: float(values.mean()) for name, values in rank_accuracy(better, tied, KS).items()}


def measure_seed(seed: int, overrides: list[str]) -> dict[str, MetricValues]:
    """The metrics of one seed by ranker, the lowest NDCG@10 first."""
    with tempfile.TemporaryDirectory() as folder:
        recipe, metrics = train_and_measure(Path(folder) / "true", seed, overrides, shuffled=False)
        metrics["oracle (true tastes)"] = measure_oracle(recipe)
        _, shuffled_metrics = train_and_measure(Path(folder) / "shuffled", seed, overrides, shuffled=True)
    metrics["model, shuffled documents"] = shuffled_metrics["model"]
    return dict(sorted(metrics.items(), key=lambda item: item[1]["ndcg@10"]))


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE)
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203])
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_options()
    table = ReadmeTable(TABLE, "seed", "", *(metric.upper() for metric in METRICS))
    for seed in options.seeds:
        for name, metrics in measure_seed(seed, options.overrides).items():
            table.add_row(str(seed), name, *(f"{metrics[metric]:.4f}" for metric in METRICS))
    table.finish(make_caption(sizes="SIMULATED visitors of the demo world"), write=options.write)


if __name__ == "__main__":
    main()
