"""The values of the curator's page, from the lake and the warehouse."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from markupsafe import Markup

from artrec_core.columns import SIMULATED, STRATEGY
from jobs.pages import examples, exposure, intake, plots, publication, strategy_changes, training
from jobs.pages.exposure import ExposureCounts, GroupShares, Spread
from jobs.step import Night
from jobs.steps import STEPS

RECOMMENDATIONS = "recommendations"


@dataclass(frozen=True)
class StrategyCoverage:
    """How the recommendations of one strategy spread."""

    strategy: str
    users: int
    rows: int
    spread: Spread


@dataclass(frozen=True)
class Coverage:
    """How the recommendations spread over artworks and groups of artworks.

    Attributes
    ----------
    strategies : all strategies, by name
    main : spread of the default strategy, as in all fields below
    liked : spread of the positive events; None if there are none
    lorenz, scores : plots
    reasons : what reasons name -> number of recommendations
    groupings : heading -> groups
    """

    strategies: list[StrategyCoverage]
    main: Spread
    liked: Spread | None
    lorenz: Markup
    scores: Markup
    reasons: dict[str, int]
    groupings: dict[str, list[GroupShares]]


@dataclass(frozen=True)
class Gap:
    """What the page cannot show, and the step that writes it."""

    what: str
    step: str


@dataclass(frozen=True)
class Headline:
    """A figure for the head of the page."""

    value: str
    label: str


def gather(night: Night) -> dict[str, Any]:
    """The values of the template `report.html`.

    A value that is not there is None or empty; then `missing` names it with the step that writes it.
    """
    lake, day, strategy = night.lake, night.day, night.recipe.publish.strategy
    catalogue = lake.read_or_empty("catalogue", day)
    histories = lake.read_or_empty("histories", day)
    users = lake.read_or_empty("people", day)
    counts = exposure.count_exposure(_recommendation_parts(night), strategy)
    checks = intake.read_checks(lake, day)
    step_manifests = [night.step_manifest(step) for step in STEPS if step != "report"]
    publications = publication.read_publications(night.recipe.store.warehouse, day)
    values: dict[str, Any] = {
        "recipe": night.recipe.name,
        "day": day,
        "title": f"{date.fromisoformat(day).day} {date.fromisoformat(day):%B %Y}",
        "strategy": strategy,
        "model_versions": counts.model_versions,
        "simulated": _simulated_users(users, histories),
        "users": users.height,
        "artworks": catalogue.height,
        "events": histories.height,
        "arrivals": intake.arrivals(lake, day),
        "checks": checks,
        "audit": intake.read_checks(lake, day, intake.AUDIT),
        "sums": intake.conservation_sums(night.step_manifest("prepare")),
        "quarantine": () if checks else intake.read_quarantine(lake, day),
        "steps": intake.step_summaries(manifest for manifest in step_manifests if manifest is not None),
        "coverage": coverage(catalogue, histories, counts, strategy) if counts.rows and catalogue.height else None,
        "strategy_changes": strategy_changes.strategy_changes(night),
        "examples": examples.example_users(users, histories, _recommendation_parts(night), catalogue, strategy),
        "publication": publication.publication_of(publications, day),
    }
    note = training.training_note(night)
    values["training"] = None if note is None else training.summarize_training(note, counts.model_versions)
    values["headline"] = headline(values["training"])
    return {**values, "missing": missing_parts(values)}


def coverage(catalogue: pl.DataFrame, histories: pl.DataFrame, counts: ExposureCounts, strategy: str) -> Coverage:
    """The spread of all strategies, with plots and groups for the default one.

    Parameters
    ----------
    catalogue, histories
        The tables of the night.
    counts
        The counts over the recommendations.
    strategy
        The default strategy.
    """

    def counts_of(name: str) -> pl.DataFrame:
        return counts.artworks.filter(pl.col(STRATEGY) == name)

    recommended, liked = counts_of(strategy), exposure.liked_counts(histories)
    recommended_counts = exposure.counts_per_artwork(catalogue, recommended)
    liked_counts = exposure.counts_per_artwork(catalogue, liked)
    groupings: dict[str, list[GroupShares]] = {}
    for heading, group in exposure.groupings().items():
        groups = exposure.group_shares(catalogue, group, recommended, liked)
        sizes = [shares.artworks for shares in groups]
        # If every museum is a source of its own, the table of sources would repeat the table of museums.
        if groups and all(sizes != [shares.artworks for shares in earlier] for earlier in groupings.values()):
            groupings[heading] = groups
    return Coverage(
        strategies=[
            StrategyCoverage(
                strategy=name,
                users=counts.users[name],
                rows=counts.rows[name],
                spread=exposure.measure_spread(exposure.counts_per_artwork(catalogue, counts_of(name))),
            )
            for name in counts.rows
        ],
        main=exposure.measure_spread(recommended_counts),
        liked=exposure.measure_spread(liked_counts) if liked_counts.sum() else None,
        lorenz=_lorenz_plot(exposure.lorenz_curve(recommended_counts), exposure.lorenz_curve(liked_counts)),
        scores=_score_plot(counts.scores),
        reasons=examples.count_reasons(counts.because_of, catalogue),
        groupings=groupings,
    )


def missing_parts(values: dict[str, Any]) -> list[Gap]:
    """The parts of the page that are missing, from the values of the template."""
    parts = {
        "the records that arrived": ("arrivals", "crawl"),
        "the result of the checks": ("checks", "validate"),
        "the catalogue": ("artworks", "prepare"),
        "the visitors": ("users", "prepare"),
        "the histories": ("events", "prepare"),
        "the model's training": ("training", "train"),
        "the recommendations": ("coverage", "score"),
        "the publication": ("publication", "publish"),
    }
    return [Gap(what, step) for what, (name, step) in parts.items() if not values[name]]


def headline(summary: training.TrainingSummary | None) -> Headline | None:
    """The model's first metric, with that of its best baseline."""
    if summary is None or not summary.main_metrics:
        return None
    metric = summary.main_metrics[0]
    model = [score for score in metric.scores if score.is_model]
    baselines = [score for score in metric.scores if not score.is_model and not score.is_ceiling]
    if not model or not baselines:
        return None
    best = baselines[0]
    return Headline(f"{model[0].value:.3f}", f"{metric.name}; the best baseline, {best.name}, has {best.value:.3f}")


def _recommendation_parts(night: Night) -> Iterator[pl.DataFrame]:
    if night.lake.find_manifest(RECOMMENDATIONS, night.day) is not None:
        yield from night.lake.iterate(RECOMMENDATIONS, night.day)


def _simulated_users(users: pl.DataFrame, histories: pl.DataFrame) -> str | None:
    """Whether `all` users are simulated, `some`, or none (None)."""
    rows = users if users.height else histories
    share = rows.get_column(SIMULATED).fill_null(False).mean() if rows.height else 0.0
    if histories.get_column(SIMULATED).any() and not share:
        return "some"
    return None if not share else "all" if share == 1.0 else "some"


def _lorenz_plot(recommended: list[tuple[float, float]], liked: list[tuple[float, float]]) -> Markup:
    lines = [plots.Line("recommended", recommended)]
    if liked:
        lines.append(plots.Line("liked by visitors", liked))
    lines.append(plots.Line("all artworks equally often", [(0, 0), (100, 100)], "guide"))
    return plots.line_plot(
        lines,
        plots.make_axis("artworks, the least shown first (%)", (0, 100)),
        plots.make_axis("cumulative share (%)", (0, 100)),
        "Lorenz curve of recommendations over the catalogue",
    )


def _score_plot(scores: pl.DataFrame) -> Markup:
    edges, layers = exposure.score_bins(scores)
    if not edges:
        return Markup("")
    return plots.histogram(
        edges,
        list(layers.items()),
        "score",
        "share of recommendations (%)",
        "Distribution of the scores of recommendations",
    )
