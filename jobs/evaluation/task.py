"""An evaluation's question and its exam from a night's tables, and what an answer's lists come to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artrec_core.errors import ArtrecError
from artrec_core.files import write_atomically
from artrec_core.lake import digest_of
from jobs.evaluation import worker as answer
from jobs.step import Night

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from artrec_core.data.holdout import Holdout
    from artrec_core.evaluation.report import GroundTruth, UserMetrics
    from artrec_core.evaluation.task import EvaluationTask

LEAVE_ONE_OUT, TIME_SPLIT = "leave-one-out", "time-split"
PROTOCOLS = (LEAVE_ONE_OUT, TIME_SPLIT)
HIDING_SEED = 0


@dataclass(frozen=True)
class Protocol:
    """How people are tested, and which works no model sees an event of: a share of all works, or those of some museums.

    With `unseen_museums` (names of museums or sources) only the people are asked whose test work is one of theirs.
    """

    name: str = LEAVE_ONE_OUT
    cold_share: float = 0.0
    unseen_museums: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise ArtrecError(f"there is no protocol {self.name!r}; take one of {', '.join(PROTOCOLS)}")
        if self.cold_share and self.unseen_museums:
            raise ArtrecError("--cold-share and --unseen-museum are two ways to hide works from training; take one")

    @property
    def told(self) -> dict[str, Any]:
        """As an evaluation's JSON holds it."""
        return {
            "protocol": self.name,
            "cold_share": self.cold_share,
            "unseen_museums": list(self.unseen_museums),
        }

    @property
    def slug(self) -> str:
        """As the name of its note holds it."""
        cold = f"-cold-{self.cold_share:g}" if self.cold_share else ""
        return f"{self.name}{cold}{f'-unseen-{digest_of(self.unseen_museums)[:8]}' if self.unseen_museums else ''}"


def asked(night: Night, protocol: Protocol) -> tuple["EvaluationTask", "GroundTruth"]:
    """What the models are told, and what they are marked by. `ArtrecError` where nothing can be held out."""
    from artrec_core.columns import DOCUMENT
    from artrec_core.data.holdout import leave_one_out, time_split
    from artrec_core.evaluation.report import ground_truth
    from artrec_core.evaluation.task import EvaluationTask
    from artrec_core.model.base_models import text_base
    from artrec_core.model.training_split import read_split

    split = read_split(night.lake, night.day, leave_one_out if protocol.name == LEAVE_ONE_OUT else time_split)
    if not len(split.test_users):
        raise ArtrecError(
            f"nobody on {night.day} has enough positive events to hold one out; look at [signals] in the recipe, "
            "or at the histories of a later day"
        )
    held_out, hidden_ids = _hiding(split.held_out, split.catalogue, protocol)
    split, recipe = replace(split, held_out=held_out), night.recipe
    base = text_base(recipe.model, recipe.store.models, lambda: split.catalogue[DOCUMENT].to_list())
    task = EvaluationTask.from_split(split, hidden_ids=hidden_ids)
    vectors = base_vectors(night, base, task.texts)
    task = replace(task, text_vectors=vectors)
    return task, ground_truth(task, held_out, vectors[: split.catalogue.height])


def _hiding(held_out: "Holdout", catalogue: "pl.DataFrame", protocol: Protocol) -> tuple["Holdout", list[str]]:
    """The holdout as the protocol asks it, and the works to hide from it."""
    from artrec_core.columns import ARTWORK_ID
    from artrec_core.data.holdout import restrict_test, sample_artworks_to_hide
    from artrec_core.recs.strategies.filters import museum_mask

    if not protocol.unseen_museums:
        return held_out, sample_artworks_to_hide(held_out, protocol.cold_share, HIDING_SEED)
    hidden = catalogue.filter(museum_mask(catalogue, list(protocol.unseen_museums)))[ARTWORK_ID].to_list()
    tested, named = restrict_test(held_out, hidden), ", ".join(protocol.unseen_museums)
    if len(hidden) == catalogue.height:
        raise ArtrecError(f"every work is of {named}, so nothing is left to learn from; name fewer museums")
    if not tested.test.height:
        raise ArtrecError(f"nobody is tested with one of the {len(hidden):,} works of {named}; name other museums")
    return tested, hidden


def base_vectors(night: Night, base: Path, texts: Sequence[str]) -> "NDArray[np.float32]":
    """Vectors of texts, (texts, text_dim), by the base model as it comes; kept in the scratch folder for the next time.

    Lists' diversity is measured by them, and a frozen text tower trains on them. The lake's own text_vectors are read, never written:
    they belong to the model that serves.
    """
    import numpy as np
    import polars as pl
    import torch

    from artrec_core.columns import DOCUMENT, VECTOR
    from artrec_core.model.text_encoder import TextEncoder, encode
    from jobs.embedding.documents import earlier_document_vectors

    recipe = night.recipe
    if recipe.encode.threads is not None:
        torch.set_num_threads(recipe.encode.threads)
    model = recipe.model
    encoder = TextEncoder.load(base, pooling=model.pooling, max_tokens=model.max_tokens, precision=model.precision)
    path = Path(recipe.store.work).resolve() / "evaluate" / f"text-{digest_of([encoder.digest(), texts])}.npy"
    if not path.exists():
        wanted = pl.DataFrame({DOCUMENT: pl.Series(texts, dtype=pl.String)}).unique(maintain_order=True)
        known = wanted.join(earlier_document_vectors(night, encoder.digest()), on=DOCUMENT)
        new = wanted.join(known, on=DOCUMENT, how="anti")[DOCUMENT].to_list()
        found = dict(zip(new, encode(encoder, new, batch_tokens=recipe.encode.batch_tokens), strict=True))
        found |= {text: np.array(vector, np.float32) for text, vector in known.select(DOCUMENT, VECTOR).iter_rows()}
        with write_atomically(path) as building, open(building, "wb") as file:
            np.save(file, np.stack([found[text] for text in texts]))
    vectors: NDArray[np.float32] = np.load(path)
    return vectors


def marked(question: "EvaluationTask", exam: "GroundTruth", folder: Path) -> "UserMetrics":
    """The figures of the lists that lie in a model's folder."""
    from artrec_core.columns import USER_ID
    from artrec_core.evaluation.lists import read_lists
    from artrec_core.evaluation.ranking import LONGEST_LIST
    from artrec_core.evaluation.report import measure_lists

    ids = [
        read_lists(folder / name, question.test_users[USER_ID].to_list(), question.artwork_ids, LONGEST_LIST)
        for name in (answer.LISTS, answer.HIDDEN_LISTS, answer.AMONG_HIDDEN_LISTS)
        if (folder / name).exists()
    ]
    return measure_lists(exam, *ids)
