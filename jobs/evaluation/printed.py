"""The tables that `artrec evaluate` prints."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.console import make_console

WIDTH_OF_A_LOG = 160
KS = (5, 10, 20)
NAMES = {"hr": "HR", "ndcg": "NDCG", "recall": "recall", "precision": "precision", "f1": "F1", "mrr": "MRR"}
EVERYONE = "everyone"
# Segment -> how it is told; everyone has tables of its own.
SEGMENTS = {
    "people_with_few_events": "people with < 10 events",
    "unseen_artworks": "works unseen in training",
    "hidden_artworks": "hidden works that test, among all works",
    "among_hidden_artworks": "hidden works that test, among hidden works alone",
    "hidden_events": "all hidden works a person met, among all works",
}
# Where everybody is tested with hidden works, these say nothing that the first tables do not.
OF_HIDDEN_TESTS = ("unseen_artworks", "hidden_artworks")


def show(told: dict[str, Any], console: Console | None = None) -> None:
    """Print an evaluation's JSON: a table in a terminal, plain lines where nobody watches."""
    console = console or make_console(WIDTH_OF_A_LOG)
    counts, models = told["counts"], told["models"]
    everyone = counts["asked"][EVERYONE]
    tables = [_accuracy(models), _more(models)]
    for name, count in counts["asked"].items():
        said_already = name in OF_HIDDEN_TESTS and count == everyone
        if name in SEGMENTS and not said_already and any(name in one["accuracy"] for one in models.values()):
            tables.append(_segment(models, told["differences"], name, count))
    ahead = {
        pair: found for pair, found in told["differences"].items() if pair.split(" - ")[1] not in told["ablations"]
    }
    if ahead:
        tables.append(_differences(ahead))
    if told["ablations"]:
        tables.append(_ablations(models, told))
    for part in (Text(_title(told)), *tables):
        console.print()
        console.print(part)
    if any("sd" in one for one in models.values()):
        seeds = max(len(one["runs"]) for one in models.values())
        console.print(Text(f"± is the standard deviation over {seeds} seeds", "dim"))


def _title(told: dict[str, Any]) -> str:
    counts = told["counts"]
    works = f"{counts['hidden_artworks']:,} works"
    hidden = f", {works} hidden from training" if counts["hidden_artworks"] else ""
    if told["unseen_museums"]:
        hidden = f", all {works} of {' and '.join(told['unseen_museums'])} hidden from training and all that is tested"
    held = told["protocol"].replace("-", " ")
    return (
        f"{told['recipe']} {told['run_date']}, {held}: {counts['asked'][EVERYONE]:,} people, "
        f"{counts['artworks']:,} works ranked{hidden}, seen works left out"
    )


def _accuracy(models: dict[str, Any]) -> Table:
    table = _table("accuracy at " + ", ".join(map(str, KS)), *NAMES.values())
    for model, told in models.items():
        table.add_row(
            model, *(" ".join(_share(told["accuracy"][EVERYONE][f"{name}@{k}"]) for k in KS) for name in NAMES)
        )
    return table


def _more(models: dict[str, Any]) -> Table:
    table = _table(
        "at 10, with 95 % bootstrap intervals over people",
        *("NDCG@10", "HR@10", "coverage", "novelty", "diversity", "choose s", "fit s", "score s", "MB"),
    )
    for model, told in models.items():
        beyond, runs = told["beyond"][EVERYONE], told["runs"]
        seconds = [f"{_mean(runs, 'seconds', what):,.1f}" for what in ("choose", "fit", "score")]
        table.add_row(
            model,
            *(_with_interval(told, name) for name in ("ndcg@10", "hr@10")),
            *(
                f"{beyond[f'{name}@10']:.{digits}f}"
                for name, digits in (("coverage", 3), ("novelty", 2), ("diversity", 3))
            ),
            *seconds,
            f"{max(run['peak_memory_mb'] for run in runs):,}",
        )
    return table


def _segment(models: dict[str, Any], differences: dict[str, Any], name: str, count: int) -> Table:
    table = _table(
        f"{SEGMENTS[name]}: {count:,} people",
        *(f"{NAMES[one]} at 5, 10, 20" for one in ("hr", "ndcg", "recall", "mrr")),
        "NDCG@10, 95 %",
        "full - this",
    )
    ahead = {pair.split(" - ")[1]: found for pair, found in differences.items()}
    for model, told in models.items():
        figures = told["accuracy"].get(name)
        if figures is not None:
            cells = (" ".join(_share(figures[f"{one}@{k}"]) for k in KS) for one in ("hr", "ndcg", "recall", "mrr"))
            difference = _signed(ahead[model][name]["ndcg@10"]) if model in ahead else ""
            table.add_row(model, *cells, _bounds(told["interval"][name]["ndcg@10"]), difference)
    return table


def _differences(found: dict[str, Any]) -> Table:
    table = _table("paired by people, 95 % intervals", "NDCG@10", "HR@10")
    for name, figures in found.items():
        table.add_row(name, *(_signed(figures[EVERYONE][one]) for one in ("ndcg@10", "hr@10")))
    return table


def _ablations(models: dict[str, Any], told: dict[str, Any]) -> Table:
    columns = ("", "validation", "NDCG@10", "HR@10", "this - full, NDCG@10", "this - full, HR@10", "fit s")
    table = _table("what each part brings: one thing changed at a time, paired by people, 95 % intervals", *columns)
    table.columns[1].justify = "left"
    for model, figures in models.items():
        if model != "full" and model not in told["ablations"]:
            continue
        found = told["differences"].get(f"full - {model}")
        validation = sum(run["validation"] or 0.0 for run in figures["runs"]) / len(figures["runs"])
        table.add_row(
            model,
            told["ablations"].get(model, "the recipe as it stands"),
            _share(validation),
            *(_share(figures["accuracy"][EVERYONE][one]) for one in ("ndcg@10", "hr@10")),
            *(_signed(_turned(found[EVERYONE][one])) if found else "" for one in ("ndcg@10", "hr@10")),
            f"{_mean(figures['runs'], 'seconds', 'fit'):,.1f}",
        )
    return table


def _turned(difference: dict[str, float]) -> dict[str, float]:
    # 0.0 - x, not -x: nothing is shown as -0.0000.
    return {"mean": 0.0 - difference["mean"], "low": 0.0 - difference["high"], "high": 0.0 - difference["low"]}


def _signed(difference: dict[str, float]) -> str:
    return f"{difference['mean']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"


def _bounds(interval: dict[str, float]) -> str:
    return f"{_share(interval['mean'])} [{_share(interval['low'])}, {_share(interval['high'])}]"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _with_interval(told: dict[str, Any], name: str) -> str:
    interval = told["interval"][EVERYONE][name]
    spread = f" ± {told['sd'][EVERYONE][name]:.4f}" if "sd" in told else ""
    return f"{interval['mean']:.4f}{spread} [{interval['low']:.4f}, {interval['high']:.4f}]"


def _mean(runs: list[dict[str, Any]], group: str, name: str) -> float:
    return sum(float(run[group].get(name, 0.0)) for run in runs) / len(runs)


def _share(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
