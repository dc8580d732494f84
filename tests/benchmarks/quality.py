"""The README's tables of quality, from what `artrec evaluate` and `artrec score` wrote.

    python -m tests.benchmarks.quality --table demo --from .artrec/demo/lake/_notes/run_date=2026-03-30 --write

`--from` is an evaluation's JSON (`artrec evaluate --out FILE`), or the folder of a day's notes in the lake, where the
evaluation of the table's protocol is read. For `constraints` it is the `_manifest.json` of the day's recommendations,
or its folder. `--list` says which command each table needs.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artrec_core.errors import ArtrecError, MissingInput
from jobs.step import code_version
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption

EVERYONE, FEW_EVENTS = "everyone", "people_with_few_events"
HIDDEN, AMONG_HIDDEN = "hidden_artworks", "among_hidden_artworks"
FULL = "full"
# How the tables call a model of the evaluation; a model that is not here keeps its name.
MODELS = {
    "popularity": "popularity",
    "als": "ALS (implicit)",
    "ease": "EASE",
    "id-only": "without text",
    "text-only": "without ids",
    "text-frozen": "frozen text tower",
    FULL: "**artrec**",
}
# gSASRec, Petrov and Macdonald, RecSys 2023: the same split of MovieLens-1M.
PUBLISHED = ["gSASRec, as published on this split", ".3003", ".1726"]
SECTIONS = {
    "filters and block lists": "filters and block lists",
    "caps": "caps",
    "diversity": "diversity (`mmr_lambda`)",
    "exploration": "exploration",
    "floors": "floors",
    "all of these": "all of these",
}

# An evaluation's JSON, or the manifest of recommendations.
Json = dict[str, Any]
Rows = list[list[str]]


def share(value: float, digits: int = 3) -> str:
    """A number between -1 and 1 without its leading zero: ".123"."""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def signed(value: float) -> str:
    """As `share`, with its sign; zero is positive."""
    # Rounded first, and -0.0 + 0.0 is 0.0: a small negative value is "+.000" too.
    text = share(round(value, 3) + 0.0)
    return text if text.startswith("-") else f"+{text}"


def bounds(interval: dict[str, float], write: Callable[[float], str] = share) -> str:
    """The ends of an interval: "[.123, .145]"."""
    return f"[{write(interval['low'])}, {write(interval['high'])}]"


def metric_cell(metrics: Json, metric: str, segment: str = EVERYONE, digits: int = 3) -> str:
    """A model's mean, with the standard deviation over seeds and the interval over users."""
    interval = metrics["interval"][segment][metric]
    deviation = f" ± {share(metrics['sd'][segment][metric], digits)}" if "sd" in metrics else ""
    ends = ", ".join(share(interval[end], digits) for end in ("low", "high"))
    return f"{share(interval['mean'], digits)}{deviation} [{ends}]"


def difference_cell(evaluation: Json, model: str, segment: str = EVERYONE) -> str:
    """By how much the whole model's NDCG@10 is higher than this model's, paired by users."""
    difference = evaluation["differences"].get(f"{FULL} - {model}", {}).get(segment)
    return "" if difference is None else f"{share(difference['ndcg@10']['mean'])} {bounds(difference['ndcg@10'])}"


def rows_by_model(evaluation: Json, cells: Callable[[str, Json], list[str]]) -> Rows:
    """One row per model, the whole model last."""
    models = sorted(evaluation["models"].items(), key=lambda item: item[0] == FULL)
    return [[MODELS.get(name, name), *cells(name, metrics)] for name, metrics in models]


def overall_rows(evaluation: Json, digits: int = 4) -> Rows:
    """HR@10 and NDCG@10."""
    return rows_by_model(
        evaluation, lambda _, metrics: [metric_cell(metrics, name, digits=digits) for name in ("hr@10", "ndcg@10")]
    )


def movielens_rows(evaluation: Json) -> Rows:
    """HR@10 and NDCG@10, with the best published result before the whole model."""
    *others, full = overall_rows(evaluation)
    return [*others, PUBLISHED, full]


def demo_rows(evaluation: Json) -> Rows:
    """HR@10, NDCG@10, the difference of the whole model, and NDCG@10 of users with few events."""

    def cells(name: str, metrics: Json) -> list[str]:
        overall = [metric_cell(metrics, metric) for metric in ("hr@10", "ndcg@10")]
        few = metrics["accuracy"].get(FEW_EVENTS)
        return [*overall, difference_cell(evaluation, name), share(few["ndcg@10"]) if few else ""]

    return rows_by_model(evaluation, cells)


def hidden_rows(evaluation: Json) -> Rows:
    """NDCG@10 of hidden artworks, among all artworks and among the hidden ones alone."""
    return rows_by_model(
        evaluation, lambda _, metrics: [metric_cell(metrics, "ndcg@10", name) for name in (HIDDEN, AMONG_HIDDEN)]
    )


def museum_rows(evaluation: Json) -> Rows:
    """NDCG@10 among the artworks of a hidden museum, and the difference of the whole model."""
    return rows_by_model(
        evaluation,
        lambda name, metrics: [
            metric_cell(metrics, "ndcg@10", AMONG_HIDDEN),
            difference_cell(evaluation, name, AMONG_HIDDEN),
        ],
    )


def ablation_rows(evaluation: Json) -> Rows:
    """What each ablation changes: paired differences to the whole model, and the validation NDCG@10."""
    rows = []
    for name, description in evaluation["ablations"].items():
        difference = evaluation["differences"][f"{FULL} - {name}"][EVERYONE]
        # The JSON has the whole model minus the ablation; the table has the ablation minus the whole model.
        turned = {
            metric: {"mean": -ends["mean"], "low": -ends["high"], "high": -ends["low"]}
            for metric, ends in difference.items()
        }
        cells = (f"{signed(turned[name]['mean'])} {bounds(turned[name], signed)}" for name in ("ndcg@10", "hr@10"))
        rows.append([description, *cells, validation_cell(evaluation["models"][name])])
    return [*rows, ["nothing (the whole model)", "", "", validation_cell(evaluation["models"][FULL])]]


def validation_cell(metrics: Json) -> str:
    """The mean over seeds of the validation NDCG@10, of the seeds that have one."""
    values = [run["validation"] for run in metrics["runs"] if run["validation"] is not None]
    return share(sum(values) / len(values)) if values else ""


def constraint_rows(manifest: Json) -> Rows:
    """What filters and constraints of each strategy change in users' lists; pairs are before -> after."""
    rows = []
    for impact in manifest["figures"].get("changes", []):
        diversity = " -> ".join(share(value) for value in impact["diversity"])
        artworks = " -> ".join(f"{count:,}" for count in impact["works"])
        floors = ", ".join(
            f"{group}: {share(before)} -> {share(after)}" for group, (before, after) in impact["floors"].items()
        )
        section = SECTIONS.get(impact["what"], impact["what"])
        shares = [share(impact["score_kept"]), share(impact["overlap"])]
        rows.append([impact["strategy"], section, *shares, diversity, artworks, floors])
    return rows


@dataclass(frozen=True)
class QualityTable:
    """A table: its columns, the function of its rows, the file that it is made from and the command that writes the file."""

    header: tuple[str, ...]
    rows: Callable[[Json], Rows]
    file: str
    command: str


_EVALUATE = "artrec evaluate --config infra/recipes/{}.toml --date {}"
_MUSEUM_HEADER = ("", "NDCG@10 among its artworks", "difference of the whole model")
TABLES = {
    "movielens": QualityTable(
        ("", "HR@10", "NDCG@10"),
        movielens_rows,
        "evaluation-leave-one-out.json",
        f"{_EVALUATE.format('movielens', '2026-03-31')} --seeds 0,1,2",
    ),
    "demo": QualityTable(
        ("", "HR@10", "NDCG@10", "difference of the whole model (NDCG@10, paired)", "NDCG@10, users with < 10 events"),
        demo_rows,
        "evaluation-leave-one-out.json",
        f"{_EVALUATE.format('demo', '2026-03-30')} --set train.launcher=process",
    ),
    "hidden-artworks": QualityTable(
        ("", "NDCG@10 among all artworks", "among the hidden artworks alone"),
        hidden_rows,
        "evaluation-leave-one-out-cold-*.json",
        f"{_EVALUATE.format('demo', '2026-03-30')} --cold-share 0.1",
    ),
    "hidden-museum": QualityTable(
        _MUSEUM_HEADER,
        museum_rows,
        "evaluation-leave-one-out-unseen-*.json",
        f'{_EVALUATE.format("demo", "2026-03-30")} --unseen-museum "The Museum of Modern Art, New York"',
    ),
    "transfer": QualityTable(
        _MUSEUM_HEADER,
        museum_rows,
        "evaluation-leave-one-out-unseen-*.json",
        f"{_EVALUATE.format('transfer', '2026-03-30')} --unseen-museum carnegie",
    ),
    "museums": QualityTable(
        ("", "HR@10", "NDCG@10"),
        overall_rows,
        "evaluation-leave-one-out.json",
        _EVALUATE.format("museums", "2026-03-30"),
    ),
    "ablations": QualityTable(
        ("changed", "NDCG@10, paired", "HR@10, paired", "validation"),
        ablation_rows,
        "evaluation-leave-one-out-ablations.json",
        f"{_EVALUATE.format('demo', '2026-03-30')} --ablations",
    ),
    "constraints": QualityTable(
        (
            *("strategy", "constraint", "score kept", "positions kept", "diversity (1 - cosine)"),
            *("artworks shown", "share of floor groups"),
        ),
        constraint_rows,
        "_manifest.json",
        "artrec score --config infra/recipes/museums.toml --date 2026-03-30",
    ),
}


def find_file(path: Path, pattern: str) -> Path:
    """The file itself, or the one file of a folder that fits the pattern.

    Raises
    ------
    MissingInput
        There is no such path, no file fits, or several do.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise MissingInput(f"{path} does not exist; `--list` says which command writes the file")
    files = sorted(path.glob(pattern))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise MissingInput(f"{path} has {len(files)} files {pattern} ({names}); give one file with --from")
    return files[0]


def notes_of(source: Json) -> list[str]:
    """What an evaluation or a manifest says of itself, for the caption."""
    notes = []
    if "counts" in source:
        counts = source["counts"]
        seeds = sorted({run["seed"] for metrics in source["models"].values() for run in metrics["runs"]})
        museums = f" of {' and '.join(source['unseen_museums'])}" if source["unseen_museums"] else ""
        notes += [
            f"recipe {source['recipe']}, {source['run_date']}, {source['protocol']}",
            f"{counts['asked'][EVERYONE]:,} users tested, {counts['artworks']:,} artworks",
            f"{counts['hidden_artworks']:,} artworks{museums} hidden" if counts["hidden_artworks"] else "",
            f"seeds {', '.join(map(str, seeds))}",
        ]
    elif source["figures"].get("changes"):
        notes.append(f"{max(impact['people'] for impact in source['figures']['changes']):,} users in the sample")
    if source["code_version"] != code_version():
        notes.append(f"measured by other code, version {source['code_version']}")
    return [note for note in notes if note]


def block_name(table: str) -> str:
    """The name of a table in the README's markers."""
    return f"quality.py {table}"


def main() -> None:
    parser = BenchmarkParser(__doc__)
    parser.add_argument("--table", choices=list(TABLES))
    parser.add_argument("--from", type=Path, dest="path", metavar="PATH", help="a JSON file or its folder")
    parser.add_argument("--list", action="store_true", help="say which command each table needs")
    options = parser.parse_options()
    if options.list:
        print("\n".join(f"{name}: {table.command}" for name, table in TABLES.items()))
        return
    if options.table is None or options.path is None:
        parser.error("give --table and --from, or --list")
    quality = TABLES[options.table]
    try:
        source = json.loads(find_file(options.path, quality.file).read_text())
        table = ReadmeTable(block_name(options.table), *quality.header)
        for row in quality.rows(source):
            table.add_row(*row)
        caption = make_caption(sizes=f"`{quality.command}`", notes=notes_of(source))
        table.finish(caption, write=options.write)
    except ArtrecError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
