"""The tables that `artrec evaluate` prints."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.console import make_console

LOG_WIDTH = 160
KS = (5, 10, 20)
METRICS = {"hr": "HR", "ndcg": "NDCG", "recall": "recall", "precision": "precision", "f1": "F1", "mrr": "MRR"}
SEGMENT_METRICS = ("hr", "ndcg", "recall", "mrr")
EVERYONE = "everyone"
# The title of each segment's table. All users together have tables of their own.
SEGMENTS = {
    "people_with_few_events": "users with < 10 events",
    "unseen_artworks": "test artworks unseen in training",
    "hidden_artworks": "hidden test artworks, ranked among all artworks",
    "among_hidden_artworks": "hidden test artworks, ranked among hidden artworks alone",
    "hidden_events": "all hidden artworks of a user's history, ranked among all artworks",
}
# Where all users are tested with hidden artworks, these segments repeat the first tables.
HIDDEN_TEST_SEGMENTS = ("unseen_artworks", "hidden_artworks")


def print_evaluation(evaluation: dict[str, Any], console: Console | None = None) -> None:
    """Print an evaluation, given as its JSON holds it; `console` is standard output by default."""
    console = console or make_console(LOG_WIDTH)
    counts, models = evaluation["counts"], evaluation["models"]
    tables = [_accuracy_table(models), _details_table(models)]
    for segment, count in counts["asked"].items():
        is_repeated = segment in HIDDEN_TEST_SEGMENTS and count == counts["asked"][EVERYONE]
        is_measured = any(segment in figures["accuracy"] for figures in models.values())
        if segment in SEGMENTS and not is_repeated and is_measured:
            tables.append(_segment_table(models, evaluation["differences"], segment, count))
    differences = {
        pair: figures
        for pair, figures in evaluation["differences"].items()
        if pair.split(" - ")[1] not in evaluation["ablations"]
    }
    if differences:
        tables.append(_differences_table(differences))
    if evaluation["ablations"]:
        tables.append(_ablations_table(models, evaluation))
    for part in (Text(_title(evaluation)), *tables):
        console.print()
        console.print(part)
    if any("sd" in figures for figures in models.values()):
        seeds = max(len(figures["runs"]) for figures in models.values())
        console.print(Text(f"± is the standard deviation over {seeds} seeds", "dim"))


def _title(evaluation: dict[str, Any]) -> str:
    counts = evaluation["counts"]
    artworks = f"{counts['hidden_artworks']:,} artworks"
    hidden_text = f", {artworks} hidden from training" if counts["hidden_artworks"] else ""
    if evaluation["unseen_museums"]:
        museums = " and ".join(evaluation["unseen_museums"])
        hidden_text = f", all {artworks} of {museums} hidden from training, and only they are tested"
    protocol = evaluation["protocol"].replace("-", " ")
    return (
        f"{evaluation['recipe']} {evaluation['run_date']}, {protocol}: {counts['asked'][EVERYONE]:,} users, "
        f"{counts['artworks']:,} artworks ranked{hidden_text}, seen artworks excluded"
    )


def _accuracy_table(models: dict[str, Any]) -> Table:
    table = _table("accuracy at " + ", ".join(map(str, KS)), *METRICS.values())
    for model, figures in models.items():
        accuracy = figures["accuracy"][EVERYONE]
        table.add_row(model, *(_values_at_ks(accuracy, metric) for metric in METRICS))
    return table


def _details_table(models: dict[str, Any]) -> Table:
    table = _table(
        "at 10, with 95 % bootstrap intervals over users",
        *("NDCG@10", "HR@10", "coverage", "novelty", "diversity", "choose s", "fit s", "score s", "MB"),
    )
    for model, figures in models.items():
        beyond, runs = figures["beyond"][EVERYONE], figures["runs"]
        seconds = [f"{_mean(runs, 'seconds', phase):,.1f}" for phase in ("choose", "fit", "score")]
        table.add_row(
            model,
            *(_with_interval(figures, metric) for metric in ("ndcg@10", "hr@10")),
            *(
                f"{beyond[f'{metric}@10']:.{digits}f}"
                for metric, digits in (("coverage", 3), ("novelty", 2), ("diversity", 3))
            ),
            *seconds,
            f"{max(run['peak_memory_mb'] for run in runs):,}",
        )
    return table


def _segment_table(models: dict[str, Any], differences: dict[str, Any], segment: str, count: int) -> Table:
    table = _table(
        f"{SEGMENTS[segment]}: {count:,} users",
        *(f"{METRICS[metric]} at 5, 10, 20" for metric in SEGMENT_METRICS),
        "NDCG@10, 95 %",
        "full - this",
    )
    difference_by_model = {pair.split(" - ")[1]: figures for pair, figures in differences.items()}
    for model, figures in models.items():
        accuracy = figures["accuracy"].get(segment)
        if accuracy is None:
            continue
        cells = (_values_at_ks(accuracy, metric) for metric in SEGMENT_METRICS)
        difference = ""
        if model in difference_by_model:
            difference = _signed(difference_by_model[model][segment]["ndcg@10"])
        table.add_row(model, *cells, _bounds(figures["interval"][segment]["ndcg@10"]), difference)
    return table


def _differences_table(differences: dict[str, Any]) -> Table:
    table = _table("paired by users, 95 % intervals", "NDCG@10", "HR@10")
    for pair, figures in differences.items():
        table.add_row(pair, *(_signed(figures[EVERYONE][metric]) for metric in ("ndcg@10", "hr@10")))
    return table


def _ablations_table(models: dict[str, Any], evaluation: dict[str, Any]) -> Table:
    columns = ("", "validation", "NDCG@10", "HR@10", "this - full, NDCG@10", "this - full, HR@10", "fit s")
    table = _table("each part's effect: one thing changed at a time, paired by users, 95 % intervals", *columns)
    table.columns[1].justify = "left"
    for model, figures in models.items():
        if model != "full" and model not in evaluation["ablations"]:
            continue
        difference = evaluation["differences"].get(f"full - {model}")
        validation = sum(run["validation"] or 0.0 for run in figures["runs"]) / len(figures["runs"])
        table.add_row(
            model,
            evaluation["ablations"].get(model, "the recipe as it is"),
            _without_zero(validation),
            *(_without_zero(figures["accuracy"][EVERYONE][metric]) for metric in ("ndcg@10", "hr@10")),
            *(_signed(_negate(difference[EVERYONE][metric])) if difference else "" for metric in ("ndcg@10", "hr@10")),
            f"{_mean(figures['runs'], 'seconds', 'fit'):,.1f}",
        )
    return table


def _values_at_ks(accuracy: dict[str, float], metric: str) -> str:
    return " ".join(_without_zero(accuracy[f"{metric}@{k}"]) for k in KS)


def _negate(difference: dict[str, float]) -> dict[str, float]:
    # 0.0 - x, not -x: a zero is never printed as -0.0000.
    return {"mean": 0.0 - difference["mean"], "low": 0.0 - difference["high"], "high": 0.0 - difference["low"]}


def _signed(difference: dict[str, float]) -> str:
    return f"{difference['mean']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"


def _bounds(interval: dict[str, float]) -> str:
    low, high = _without_zero(interval["low"]), _without_zero(interval["high"])
    return f"{_without_zero(interval['mean'])} [{low}, {high}]"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _with_interval(figures: dict[str, Any], metric: str) -> str:
    interval = figures["interval"][EVERYONE][metric]
    spread = f" ± {figures['sd'][EVERYONE][metric]:.4f}" if "sd" in figures else ""
    return f"{interval['mean']:.4f}{spread} [{interval['low']:.4f}, {interval['high']:.4f}]"


def _mean(runs: list[dict[str, Any]], group: str, name: str) -> float:
    return sum(float(run[group].get(name, 0.0)) for run in runs) / len(runs)


def _without_zero(value: float) -> str:
    """A share from 0 to 1 without its leading zero: `.1234`."""
    return f"{value:.4f}".removeprefix("0")
