"""The tables that `artrec evaluate` prints."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_LOG = 150
KS = (5, 10, 20)
NAMES = {"hr": "HR", "ndcg": "NDCG", "recall": "recall", "precision": "precision", "f1": "F1", "mrr": "MRR"}
# Segment -> how it is told; everyone has a table of its own.
SEGMENTS = {
    "people_with_few_events": "people with < 10 events",
    "unseen_artworks": "works unseen in training",
    "hidden_artworks": "hidden works that test",
    "hidden_events": "all hidden works a person met",
}


def show(told: dict[str, Any], console: Console | None = None) -> None:
    """Print an evaluation's JSON: a table in a terminal, plain lines where nobody watches."""
    console = console or Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_LOG)
    counts, models = told["counts"], told["models"]
    held = told["protocol"].replace("-", " ")
    hidden = f", {counts['hidden_artworks']:,} works hidden from training" if counts["hidden_artworks"] else ""
    console.print()
    console.print(
        Text(
            f"{told['recipe']} {told['run_date']}, {held}: {counts['asked']['everyone']:,} people, "
            f"{counts['artworks']:,} works ranked{hidden}, seen works left out"
        )
    )
    console.print()
    console.print(_accuracy(models))
    console.print()
    console.print(_more(models))
    for name, count in counts["asked"].items():
        if name in SEGMENTS and any(name in one["accuracy"] for one in models.values()):
            console.print()
            console.print(_segment(models, name, count))
    if told["differences"]:
        console.print()
        console.print(_differences(told["differences"]))
    if any("sd" in one for one in models.values()):
        seeds = max(len(one["runs"]) for one in models.values())
        console.print(Text(f"± is the standard deviation over {seeds} seeds", "dim"))


def _accuracy(models: dict[str, Any]) -> Table:
    table = _table("accuracy at " + ", ".join(map(str, KS)), *NAMES.values())
    for model, told in models.items():
        table.add_row(
            model, *(" ".join(_share(told["accuracy"]["everyone"][f"{name}@{k}"]) for k in KS) for name in NAMES)
        )
    return table


def _more(models: dict[str, Any]) -> Table:
    table = _table(
        "at 10, with 95 % bootstrap intervals over people",
        *("NDCG@10", "HR@10", "coverage", "novelty", "diversity", "choose s", "fit s", "score s", "MB"),
    )
    for model, told in models.items():
        beyond, runs = told["beyond"], told["runs"]
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


def _segment(models: dict[str, Any], name: str, count: int) -> Table:
    table = _table(
        f"{SEGMENTS[name]}: {count:,} people",
        *(f"{NAMES[one]} at 5, 10, 20" for one in ("hr", "ndcg", "recall", "mrr")),
    )
    for model, told in models.items():
        figures = told["accuracy"].get(name)
        if figures is not None:
            cells = (" ".join(_share(figures[f"{one}@{k}"]) for k in KS) for one in ("hr", "ndcg", "recall", "mrr"))
            table.add_row(model, *cells)
    return table


def _differences(found: dict[str, Any]) -> Table:
    table = _table("paired by people, 95 % intervals", "NDCG@10", "HR@10")
    for name, figures in found.items():
        told = (figures[one] for one in ("ndcg@10", "hr@10"))
        table.add_row(name, *(f"{one['mean']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]" for one in told))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _with_interval(told: dict[str, Any], name: str) -> str:
    interval = told["interval"][name]
    spread = f" ± {told['sd']['everyone'][name]:.4f}" if "sd" in told else ""
    return f"{interval['mean']:.4f}{spread} [{interval['low']:.4f}, {interval['high']:.4f}]"


def _mean(runs: list[dict[str, Any]], group: str, name: str) -> float:
    return sum(float(run[group].get(name, 0.0)) for run in runs) / len(runs)


def _share(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
