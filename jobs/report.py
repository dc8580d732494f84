"""`report`: the curator's page of a night, one self-contained HTML file.

It shows what was received, what went to quarantine, how the model was trained, and what is recommended.
"""

import logging
from datetime import date, timedelta
from importlib.resources import files

from artrec_core.columns import LAKE, PUBLISHED_AT
from artrec_core.config import Recipe
from artrec_core.lake import digest_of
from artrec_core.urls import redact
from jobs.pages import PAGE, render
from jobs.pages.night import gather
from jobs.pages.publication import read_publications
from jobs.pages.training import training_note
from jobs.step import Figures, Night, Step, main
from jobs.steps import STEPS

NOTES = ("validation.json", "audit.json")
SWEEP_AFTER_SECONDS = 24 * 3600
# A night that is run again leaves the parts of its earlier run behind. Reruns are expected for so many days.
SWEEP_DAYS = 7

log = logging.getLogger("artrec")


def inputs(night: Night) -> dict[str, str]:
    """Digests of what the night has: its tables, the manifests and notes of its steps, and the publications up to it."""
    lake, day = night.lake, night.day
    tables = {table: lake.find_manifest(table, day) for table in LAKE}
    made_from = {f"{table}@{day}": manifest.digest for table, manifest in tables.items() if manifest is not None}
    for step in STEPS:
        manifest = night.step_manifest(step)
        if manifest is not None and step != STEP.name:
            # If a step was run again and found nothing to do, the page stays the same.
            made_from[f"{step}.json@{day}"] = digest_of(manifest.model_dump(exclude={"unchanged"}))
    notes = {name: lake.read_note(name, day) for name in NOTES}
    made_from |= {f"{name}@{day}": digest_of(raw.decode()) for name, raw in notes.items() if raw is not None}
    made_from["training"] = digest_of(training_note(night))
    publications = read_publications(night.recipe.store.warehouse, day)
    made_from["publications"] = digest_of(publications.drop(PUBLISHED_AT, strict=False).rows())
    return made_from


def run(night: Night) -> Figures:
    """Write the page as the note `report.html` and print its address; then remove what killed runs left in the lake."""
    values = gather(night)
    page = render(PAGE, **values).encode()
    address = night.lake.write_note(PAGE, night.day, page)
    print(f"report {night.day}: the page is {address}", flush=True)
    if values["missing"]:
        log.warning(
            "report %s: missing: %s",
            night.day,
            "; ".join(f"{gap.what} (artrec {gap.step})" for gap in values["missing"]),
        )
    coverage = values["coverage"]
    coverage_figures = {"works_reached": coverage.main.reached, "works": coverage.main.artworks} if coverage else {}
    return {
        "page_kb": len(page) // 1024,
        "missing": len(values["missing"]),
        **coverage_figures,
        "parts_swept": sweep(night),
    }


def sweep(night: Night) -> int:
    """Remove parts of this night and the SWEEP_DAYS before it that no manifest names and that are older than a day."""
    last = date.fromisoformat(night.day)
    days = [(last - timedelta(days=back)).isoformat() for back in range(SWEEP_DAYS + 1)]
    return sum(night.lake.sweep(table, day, older_than_seconds=SWEEP_AFTER_SECONDS) for table in LAKE for day in days)


def settings(recipe: Recipe) -> list[object]:
    """What the page depends on besides its inputs: the served strategy, the warehouse, the template and its style."""
    folder = files("jobs.pages")
    templates = [folder.joinpath(name).read_text(encoding="utf-8") for name in (PAGE, "style.css")]
    return [recipe.name, recipe.publish, redact(recipe.store.warehouse), digest_of(templates)]


STEP = Step(
    name="report",
    help="Write the curator's page of the night, one HTML file.",
    outputs=(),
    inputs=inputs,
    settings=settings,
    run=run,
    notes=(PAGE,),
)

if __name__ == "__main__":
    main(STEP)
