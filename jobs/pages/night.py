"""Everything the curator's page shows of a night, gathered from the lake and the warehouse."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from markupsafe import Markup

from artrec_core.columns import ARTWORK_ID, SIMULATED, STRATEGY
from jobs.pages import examples, exposure, intake, lines, plots, publication, training
from jobs.pages.exposure import TIMES, Group, Spread, Tally
from jobs.step import Night
from jobs.steps import STEPS

RECOMMENDATIONS = "recommendations"


@dataclass(frozen=True)
class Reach:
    """How one strategy's recommendations spread."""

    strategy: str
    people: int
    rows: int
    spread: Spread


@dataclass(frozen=True)
class Coverage:
    """How the recommendations spread over works and kinds of works; plots are SVG."""

    reaches: list[Reach]
    main: Spread
    liked: Spread | None
    lorenz: Markup
    scores: Markup
    reasons: dict[str, int]
    kinds: dict[str, list[Group]]


@dataclass(frozen=True)
class Gap:
    """What the page cannot show, and the step that brings it."""

    what: str
    step: str


@dataclass(frozen=True)
class Headline:
    """A figure for the head of the page."""

    value: str
    says: str


def gather(night: Night) -> dict[str, Any]:
    """The values of `report.html`; a part that is not there is None or empty, and `missing` says which and what to run."""
    lake, day, strategy = night.lake, night.day, night.recipe.publish.strategy
    catalogue = lake.read_or_empty("catalogue", day)
    histories = lake.read_or_empty("histories", day)
    people = lake.read_or_empty("people", day)
    tally = exposure.tally(_parts(night), strategy)
    checks = intake.checks(lake, day)
    manifests = [night.step_manifest(step) for step in STEPS if step != "report"]
    published = publication.publications(night.recipe.store.warehouse, day)
    values: dict[str, Any] = {
        "recipe": night.recipe.name,
        "day": day,
        "title": f"{date.fromisoformat(day).day} {date.fromisoformat(day):%B %Y}",
        "strategy": strategy,
        "model_versions": tally.model_versions,
        "simulated": _simulated(people, histories),
        "people": people.height,
        "works": catalogue.height,
        "events": histories.height,
        "arrivals": intake.arrivals(lake, day),
        "checks": checks,
        "audit": intake.checks(lake, day, intake.AUDIT),
        "sums": intake.sums(night.step_manifest("prepare")),
        "quarantine": () if checks else intake.quarantine(lake, day),
        "steps": intake.step_rows(one for one in manifests if one is not None),
        "coverage": coverage(catalogue, histories, tally, strategy) if tally.rows and catalogue.height else None,
        "lines": lines.lines(night),
        "examples": examples.examples(people, histories, _parts(night), catalogue, strategy),
        "publication": publication.publication(published, day),
    }
    note = training.training_note(night)
    values["training"] = None if note is None else training.training(note, tally.model_versions)
    values["headline"] = headline(values["training"])
    return {**values, "missing": missing(values)}


def coverage(catalogue: pl.DataFrame, histories: pl.DataFrame, tally: Tally, strategy: str) -> Coverage:
    """The spread of every strategy, and the plots and kinds of the default one."""
    own = tally.times.filter(pl.col(STRATEGY) == strategy)
    liked = exposure.liked_times(histories)
    times, likes = exposure.per_work(catalogue, own), exposure.per_work(catalogue, liked)
    kinds: dict[str, list[Group]] = {}
    for name, by in exposure.kinds().items():
        found = exposure.groups(catalogue, by, own, liked)
        # Where every museum is a source of its own, the second table would repeat the first.
        if found and not any([g.works for g in found] == [g.works for g in seen] for seen in kinds.values()):
            kinds[name] = found
    return Coverage(
        reaches=[
            Reach(name, tally.people[name], tally.rows[name], exposure.spread(exposure.per_work(catalogue, mine)))
            for name in tally.rows
            for mine in [tally.times.filter(pl.col(STRATEGY) == name).select(ARTWORK_ID, TIMES)]
        ],
        main=exposure.spread(times),
        liked=exposure.spread(likes) if likes.sum() else None,
        lorenz=_lorenz_plot(exposure.lorenz(times), exposure.lorenz(likes)),
        scores=_score_plot(tally.scores),
        reasons=examples.reasons(tally.because_of, catalogue),
        kinds=kinds,
    )


def missing(values: dict[str, Any]) -> list[Gap]:
    """What the page would show and cannot, with the step that brings it."""
    parts = {
        "what came in": ("arrivals", "crawl"),
        "what the gates found": ("checks", "validate"),
        "the catalogue": ("works", "prepare"),
        "people": ("people", "prepare"),
        "histories": ("events", "prepare"),
        "the model's training": ("training", "train"),
        "recommendations": ("coverage", "score"),
        "the publication": ("publication", "publish"),
    }
    return [Gap(what, step) for what, (name, step) in parts.items() if not values[name]]


def headline(trained: training.Training | None) -> Headline | None:
    """The model's first metric beside its strongest rival's."""
    if trained is None or not trained.measures:
        return None
    measure = trained.measures[0]
    ours = [one for one in measure.values if one.ours]
    rivals = [one for one in measure.values if not one.ours and not one.ceiling]
    if not ours or not rivals:
        return None
    return Headline(f"{ours[0].value:.3f}", f"{measure.name}; {rivals[0].name} reaches {rivals[0].value:.3f}")


def _parts(night: Night) -> Iterator[pl.DataFrame]:
    if night.lake.find_manifest(RECOMMENDATIONS, night.day) is not None:
        yield from night.lake.iterate(RECOMMENDATIONS, night.day)


def _simulated(people: pl.DataFrame, histories: pl.DataFrame) -> str | None:
    """Who is simulated: `all`, `some`, or None."""
    flags = people if people.height else histories
    share = flags.get_column(SIMULATED).fill_null(False).mean() if flags.height else 0.0
    if histories.get_column(SIMULATED).any() and not share:
        return "some"
    return None if not share else "all" if share == 1.0 else "some"


def _lorenz_plot(recommended: list[tuple[float, float]], liked: list[tuple[float, float]]) -> Markup:
    lines = [plots.Line("recommended", recommended)]
    if liked:
        lines.append(plots.Line("liked by people", liked))
    lines.append(plots.Line("all works alike", [(0, 0), (100, 100)], "guide"))
    return plots.line_plot(
        lines,
        plots.axis("works, the least shown first (%)", (0, 100)),
        plots.axis("share they get together (%)", (0, 100)),
        "Lorenz curve of recommendations over the catalogue",
    )


def _score_plot(scores: pl.DataFrame) -> Markup:
    edges, layers = exposure.score_bins(scores)
    if not edges:
        return Markup("")
    return plots.histogram(
        edges, list(layers.items()), "score", "share of rows (%)", "Distribution of the scores of recommendations"
    )
