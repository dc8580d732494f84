"""One model answers an evaluation's question in a process of its own: trained, its settings chosen, everyone's list dumped.

`artrec evaluate` starts it. The folder it reads holds no test work, so neither training nor selection can look at one.
"""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from artrec_core.config import Recipe, load
from artrec_core.files import write_atomically
from jobs.step import ConfigOption, SetOption, run_command

LISTS = "lists.parquet"
# Lists that leave in the hidden works a person met: they should be found again.
HIDDEN_LISTS = "hidden_lists.parquet"
# Lists of hidden works alone, without those that a person met.
AMONG_HIDDEN_LISTS = "among_hidden_lists.parquet"
ANSWER = "answer.json"


def command(
    config: ConfigOption,
    question: Annotated[Path, typer.Option(help="Folder of the question.")],
    model: Annotated[str, typer.Option(help="Which model answers.")],
    into: Annotated[Path, typer.Option(help="Folder of the answer; training works there too.")],
    seed: Annotated[int, typer.Option(help="Seed of the model.")] = 0,
    overrides: SetOption = [],  # noqa: B006
) -> None:
    """Train one model on a question and dump its lists."""
    answer(load(config, overrides), question, model, seed, into)


def answer(recipe: Recipe, asked: Path, model: str, seed: int, into: Path) -> None:
    """Write the lists and, last of all, what was chosen and how long it took into the folder."""
    from artrec_core.evaluation.lists import write_lists
    from artrec_core.evaluation.ranking import LONGEST_LIST, best_artworks
    from artrec_core.evaluation.task import EvaluationTask

    into.mkdir(parents=True, exist_ok=True)
    question, clock = EvaluationTask.load(asked), _Clock()
    ranker, people, told = _ranker(recipe, question, model, seed, into, clock)
    with clock.on("score"):
        wanted: list[tuple[str, bool, Any]] = [(LISTS, True, None)]
        if question.hidden_ids:
            wanted += [(HIDDEN_LISTS, False, None), (AMONG_HIDDEN_LISTS, True, question.hidden_rows)]
        for name, leaves_hidden_out, among in wanted:
            exclude = question.excluded_pairs(with_hidden=leaves_hidden_out)
            ids, scores = best_artworks(ranker, people, LONGEST_LIST, exclude=exclude, among=among)
            write_lists(into / name, question.test_users["user_id"].to_list(), question.artwork_ids, ids, scores)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told |= {"model": model, "seed": seed, "seconds": clock.seconds, "peak_memory_mb": peak}
    with write_atomically(into / ANSWER) as building:
        building.write_text(json.dumps(told, indent=1))


def _ranker(
    recipe: Recipe, question: Any, model: str, seed: int, into: Path, clock: "_Clock"
) -> tuple[Any, Any, dict[str, Any]]:
    """A model that is ready to rank, its rows of the people asked, and what was chosen by which validation figure."""
    import numpy as np

    from artrec_core.evaluation.baselines import BASELINES, choose_settings, fit_baseline

    if model in BASELINES:
        with clock.on("choose"):
            choice = choose_settings(model, question, seed=seed)
        with clock.on("fit"):
            ranker = fit_baseline(model, choice.settings, question, seed=seed)
        best = choice.validation if choice.trials else None
        return ranker, question.test_user_rows, {"chosen": choice.settings, "validation": best, "tried": choice.trials}
    from artrec_core.columns import DOCUMENT
    from artrec_core.evaluation.ablations import variant
    from artrec_core.evaluation.variants import best_validation, train_variant
    from artrec_core.model.base_models import text_base

    with clock.on("fit"):
        base = text_base(recipe.model, recipe.store.models, lambda: question.catalogue[DOCUMENT].to_list())
        vectors = train_variant(question, variant(recipe, model, seed), model, into / "training", base)
    return vectors, np.arange(question.test_users.height), {"validation": best_validation(into / "training")}


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Time a part."""
        begun = time.monotonic()
        yield
        self.seconds[what] = round(time.monotonic() - begun, 2)


if __name__ == "__main__":
    run_command(command, "python -m jobs.evaluation.worker")
