"""evaluate: our model and its parts beside popularity, EASE and ALS, all asked the same question and marked by the same hand."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artrec_core.config import load
from artrec_core.errors import ArtrecError
from artrec_core.lake import day_of, digest_of
from jobs import answer, crawl, prepare, train, validate
from jobs.contestant import Contestant
from jobs.scoreboard import show
from jobs.step import ConfigOption, DateOption, Night, SetOption, code_version, run_command, run_step

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from artrec_core.recs.question import Question
    from artrec_core.recs.scorecard import Card, Exam

BASELINES = ("popularity", "ease", "als")
OWN = ("id-only", "text-only", "full")
PROTOCOLS = ("leave-one-out", "time-split")
# Against each other model, paired by people.
COMPARED = "full"
HIDING_SEED = 0


def command(
    config: ConfigOption,
    date: DateOption,
    overrides: SetOption = [],  # noqa: B006
    models: Annotated[str, typer.Option(help="Which models, with commas between them.")] = ",".join(BASELINES + OWN),
    seeds: Annotated[str, typer.Option(help="Seeds of our models, as in 0,1,2; the others run once.")] = "0",
    protocol: Annotated[str, typer.Option(help=" or ".join(PROTOCOLS))] = PROTOCOLS[0],
    cold_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Hide this share of the works from training and rank them among all.")
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Write the JSON here too.", metavar="FILE")] = None,
) -> None:
    """Train and measure our model, its parts and the baselines on one protocol; print a table, write JSON."""
    recipe, day = load(config, overrides), day_of(date)
    wanted, numbers = _models(models), _seeds(seeds)
    if protocol not in PROTOCOLS:
        raise ArtrecError(f"there is no protocol {protocol!r}; take one of {', '.join(PROTOCOLS)}")
    for step in (crawl, validate, prepare):
        run_step(step.STEP, recipe, day)
    night = Night(recipe, day)
    night.made_from = train.inputs(night)
    told = evaluated(night, config, overrides, wanted, numbers, protocol, cold_share)
    show(told)
    raw = json.dumps(told, indent=1).encode()
    name = f"evaluation-{protocol}{f'-cold-{cold_share:g}' if cold_share else ''}.json"
    print(f"\nfigures: {night.lake.write_note(name, day, raw)}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(raw)
        print(f"         {out}")
    print(f"lists:   {told['folder']}/<model>-seed<n>/{answer.LISTS}")


def evaluated(
    night: Night,
    config: str,
    overrides: list[str],
    models: list[str],
    seeds: list[int],
    protocol: str = PROTOCOLS[0],
    cold_share: float = 0.0,
) -> dict[str, Any]:
    """All figures of an evaluation of the night's tables, as its JSON holds them.

    Each model answers in a process of its own that reads the question's folder; answers that stand there from a run that was
    killed are not made again.
    """
    recipe = night.recipe
    about = {"protocol": protocol, "cold_share": cold_share, "made_from": night.made_from}
    settings = recipe.model_dump(mode="json", include={"model", "train", "encode"})
    digest = digest_of([code_version(), about, settings])
    folder = Path(recipe.store.work).resolve() / "evaluate" / digest
    question, exam = asked(night, protocol, cold_share)
    question.save(folder / "question")
    counts = _counts(question, exam)
    runs: dict[str, list[dict[str, Any]]] = {}
    cards: dict[str, list[Card]] = {}
    for model in models:
        for seed in seeds if model in OWN else seeds[:1]:
            contestant = Contestant(model, seed, folder / "question", folder / f"{model}-seed{seed}")
            run = contestant.answered(config, overrides)
            card = marked(question, exam, contestant.folder)
            cards.setdefault(model, []).append(card)
            runs.setdefault(model, []).append(run | {"accuracy": card.accuracy, "beyond": card.beyond})
            print(_line(run, card), flush=True)
    return {
        "recipe": recipe.name,
        "run_date": night.day,
        **about,
        "code_version": code_version(),
        "settings": settings,
        "counts": counts,
        "models": _summaries(cards, runs),
        "differences": _differences(cards),
        "folder": str(folder),
    }


def asked(night: Night, protocol: str, cold_share: float) -> tuple["Question", "Exam"]:
    """What the models are told, and what they are marked by. `ArtrecError` where nothing can be held out."""
    from artrec_core.columns import ARTWORK_ID, DOCUMENT
    from artrec_core.data.holdout import leave_one_out, time_split, works_to_hide
    from artrec_core.model.distil import text_base
    from artrec_core.model.embeddings import distinct_interests
    from artrec_core.recs.question import Question
    from artrec_core.recs.scorecard import exam
    from jobs.embed import everyone

    catalogue = night.lake.read("catalogue", night.day).sort(ARTWORK_ID)
    histories = train.in_catalogue(night.lake.read("histories", night.day), catalogue)
    people = everyone(night.lake.read("people", night.day), histories)
    held_out = (leave_one_out if protocol == PROTOCOLS[0] else time_split)(histories)
    if not held_out.test.height:
        raise ArtrecError(
            f"nobody on {night.day} has enough positive events to hold one out; look at [signals] in the recipe, "
            "or at the histories of a later day"
        )
    hidden = works_to_hide(held_out, cold_share, HIDING_SEED)
    recipe = night.recipe
    stated, _ = distinct_interests(people)
    base = text_base(recipe.model, recipe.store.models, lambda: catalogue[DOCUMENT].to_list())
    vectors = base_vectors(night, base, catalogue, stated)
    given = vectors if recipe.model.tuning == "frozen" else None
    question = Question.about(held_out, catalogue, people, train.queries(catalogue), hidden=hidden, text_vectors=given)
    return question, exam(question, held_out, vectors[: catalogue.height])


def base_vectors(night: Night, base: Path, catalogue: "pl.DataFrame", interests: list[str]) -> "NDArray[np.float32]":
    """Vectors of the documents, then of the interests, by the base model as it comes; kept in the scratch folder for the next time.

    Lists' diversity is measured by them, and a frozen text tower trains on them. The lake's own text_vectors are read, never written:
    they belong to the model that serves.
    """
    import numpy as np
    import polars as pl
    import torch

    from artrec_core.columns import DOCUMENT, VECTOR
    from artrec_core.model.text_encoder import TextEncoder, encode
    from jobs.embed import known_documents

    recipe = night.recipe
    if recipe.encode.threads is not None:
        torch.set_num_threads(recipe.encode.threads)
    model = recipe.model
    encoder = TextEncoder.load(base, pooling=model.pooling, max_tokens=model.max_tokens, precision=model.precision)
    texts = [*catalogue[DOCUMENT].to_list(), *interests]
    path = Path(recipe.store.work).resolve() / "evaluate" / f"text-{digest_of([encoder.digest(), texts])}.npy"
    if not path.exists():
        wanted = pl.DataFrame({DOCUMENT: pl.Series(texts, dtype=pl.String)}).unique(maintain_order=True)
        known = wanted.join(known_documents(night, encoder.digest()), on=DOCUMENT)
        new = wanted.join(known, on=DOCUMENT, how="anti")[DOCUMENT].to_list()
        found = dict(zip(new, encode(encoder, new, batch_tokens=recipe.encode.batch_tokens), strict=True))
        found |= {text: np.array(vector, np.float32) for text, vector in known.select(DOCUMENT, VECTOR).iter_rows()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{path}.building", "wb") as file:
            np.save(file, np.stack([found[text] for text in texts]))
        os.replace(file.name, path)
    vectors: NDArray[np.float32] = np.load(path)
    return vectors


def marked(question: "Question", exam: "Exam", folder: Path) -> "Card":
    """The figures of the lists that lie in a model's folder."""
    from artrec_core.columns import USER_ID
    from artrec_core.recs.evaluation import dumped
    from artrec_core.recs.scorecard import card

    ids = [
        dumped(folder / name, question.asked[USER_ID].to_list(), question.artwork_ids, answer.LONGEST_LIST)
        for name in (answer.LISTS, answer.HIDDEN_LISTS)
        if (folder / name).exists()
    ]
    return card(exam, *ids)


def _summaries(cards: dict[str, list["Card"]], runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    from artrec_core.recs.scorecard import summary

    return {model: {**summary(cards[model]), "runs": runs[model]} for model in cards}


def _differences(cards: dict[str, list["Card"]]) -> dict[str, Any]:
    from artrec_core.recs.scorecard import difference

    ours = cards.get(COMPARED)
    if ours is None:
        return {}
    return {f"{COMPARED} - {model}": difference(ours, theirs) for model, theirs in cards.items() if model != COMPARED}


def _counts(question: "Question", exam: "Exam") -> dict[str, Any]:
    from artrec_core.recs.scorecard import asked_a_segment

    return {
        "people": question.people.height,
        "artworks": question.catalogue.height,
        "events_to_choose_by": question.train.height,
        "events_to_answer_from": question.before_test.height,
        "people_validated": question.validation.height,
        "hidden_artworks": len(question.hidden),
        "asked": asked_a_segment(exam),
    }


def _line(run: dict[str, Any], card: "Card") -> str:
    figures = ", ".join(f"{name.upper()} {card.accuracy['everyone'][name]:.4f}" for name in ("hr@10", "ndcg@10"))
    seconds = ", ".join(f"{what} {each:.1f} s" for what, each in run["seconds"].items())
    return f"evaluate: {run['model']}, seed {run['seed']}: {figures} ({seconds}, {run['peak_memory_mb']:,} MB)"


def _models(text: str) -> list[str]:
    wanted = text.replace(",", " ").split()
    unknown = [one for one in wanted if one not in BASELINES + OWN]
    if unknown or not wanted:
        raise ArtrecError(f"--models takes some of {','.join(BASELINES + OWN)}, not {', '.join(unknown) or 'nothing'}")
    return list(dict.fromkeys(wanted))


def _seeds(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(one) for one in text.replace(",", " ").split())) or [0]
    except ValueError:
        raise ArtrecError(f"--seeds takes whole numbers with commas between them, as in 0,1,2, not {text!r}") from None


if __name__ == "__main__":
    run_command(command, "python -m jobs.evaluate")
