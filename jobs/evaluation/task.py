"""An evaluation task and its ground truth from a night's tables, and the metrics of a model's lists."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from artrec_core.columns import ARTWORK_ID, DOCUMENT, USER_ID, VECTOR
from artrec_core.errors import ArtrecError
from artrec_core.files import write_atomically
from artrec_core.lake import digest_of
from jobs.evaluation.worker import AMONG_HIDDEN_LISTS, HIDDEN_LISTS, LISTS
from jobs.step import Night

if TYPE_CHECKING:
    from artrec_core.arrays import Float32Array
    from artrec_core.data.holdout import Holdout
    from artrec_core.evaluation.report import GroundTruth, UserMetrics
    from artrec_core.evaluation.task import EvaluationTask

LEAVE_ONE_OUT, TIME_SPLIT = "leave-one-out", "time-split"
PROTOCOLS = (LEAVE_ONE_OUT, TIME_SPLIT)
HIDING_SEED = 0


@dataclass(frozen=True)
class Protocol:
    """How events are held out, and which artworks are hidden: all their events are removed from training.

    Hidden is a share of all artworks (`cold_share`), or all artworks of some museums or sources (`unseen_museums`). With
    `unseen_museums`, only users whose test artwork is hidden are tested.
    """

    name: str = LEAVE_ONE_OUT
    cold_share: float = 0.0
    unseen_museums: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise ArtrecError(f"there is no protocol {self.name!r}; use one of {', '.join(PROTOCOLS)}")
        if self.cold_share and self.unseen_museums:
            raise ArtrecError("--cold-share and --unseen-museum are two ways to hide artworks; use only one of them")

    @property
    def details(self) -> dict[str, Any]:
        """The protocol as an evaluation's JSON holds it."""
        return {
            "protocol": self.name,
            "cold_share": self.cold_share,
            "unseen_museums": list(self.unseen_museums),
        }

    @property
    def slug(self) -> str:
        """The protocol as part of a file's name."""
        cold = f"-cold-{self.cold_share:g}" if self.cold_share else ""
        return f"{self.name}{cold}{f'-unseen-{digest_of(self.unseen_museums)[:8]}' if self.unseen_museums else ''}"


def build_task(night: Night, protocol: Protocol) -> tuple["EvaluationTask", "GroundTruth"]:
    """Split the night's tables into what the models may know and what they are measured by.

    Raises `ArtrecError` if no user has enough events to hold one out.
    """
    from artrec_core.data.holdout import leave_one_out, time_split
    from artrec_core.evaluation.report import ground_truth
    from artrec_core.evaluation.task import EvaluationTask
    from artrec_core.model.base_models import text_base
    from artrec_core.model.training_split import read_split

    split = read_split(night.lake, night.day, leave_one_out if protocol.name == LEAVE_ONE_OUT else time_split)
    if not len(split.test_users):
        raise ArtrecError(
            f"no user on {night.day} has enough positive events to hold one out; check [signals] in the recipe, "
            "or use the histories of a later day"
        )
    held_out, hidden_ids = _choose_hidden(split.held_out, split.catalogue, protocol)
    split, recipe = replace(split, held_out=held_out), night.recipe
    base = text_base(recipe.model, recipe.store.models, lambda: split.catalogue[DOCUMENT].to_list())
    task = EvaluationTask.from_split(split, hidden_ids=hidden_ids)
    vectors = base_vectors(night, base, task.texts)
    task = replace(task, text_vectors=vectors)
    return task, ground_truth(task, held_out, vectors[: split.catalogue.height])


def _choose_hidden(held_out: "Holdout", catalogue: pl.DataFrame, protocol: Protocol) -> tuple["Holdout", list[str]]:
    """The holdout with the tests that the protocol wants, and the ids of the artworks to hide."""
    from artrec_core.data.holdout import restrict_test, sample_artworks_to_hide
    from artrec_core.recs.strategies.filters import museum_mask

    if not protocol.unseen_museums:
        return held_out, sample_artworks_to_hide(held_out, protocol.cold_share, HIDING_SEED)
    hidden_ids = catalogue.filter(museum_mask(catalogue, list(protocol.unseen_museums)))[ARTWORK_ID].to_list()
    restricted, museums = restrict_test(held_out, hidden_ids), ", ".join(protocol.unseen_museums)
    if len(hidden_ids) == catalogue.height:
        raise ArtrecError(f"every artwork is from {museums}, so none is left for training; name fewer museums")
    if not restricted.test.height:
        raise ArtrecError(
            f"no user's test artwork is one of the {len(hidden_ids):,} from {museums}; name other museums"
        )
    return restricted, hidden_ids


def base_vectors(night: Night, base: Path, texts: Sequence[str]) -> "Float32Array":
    """Encode texts with the base model without fine-tuning. The vectors are stored in the work folder for the next time.

    Lists' diversity is measured with these vectors, and a frozen text tower trains on them. The lake's text_vectors are
    read but never written: they belong to the model that serves.

    Parameters
    ----------
    night
        The night, for its recipe and its lake.
    base
        Folder of the base model.
    texts
        The texts (n,); a text may repeat.

    Returns
    -------
    Vectors (n, text_dim).
    """
    import numpy as np
    import torch

    from artrec_core.model.text_encoder import TextEncoder, encode
    from jobs.embedding.documents import earlier_document_vectors

    recipe = night.recipe
    if recipe.encode.threads is not None:
        torch.set_num_threads(recipe.encode.threads)
    model = recipe.model
    encoder = TextEncoder.load(base, pooling=model.pooling, max_tokens=model.max_tokens, precision=model.precision)
    path = Path(recipe.store.work).resolve() / "evaluate" / f"text-{digest_of([encoder.digest(), texts])}.npy"
    if not path.exists():
        documents = pl.DataFrame({DOCUMENT: pl.Series(texts, dtype=pl.String)}).unique(maintain_order=True)
        stored_rows = documents.join(earlier_document_vectors(night, encoder.digest()), on=DOCUMENT)
        new_texts = documents.join(stored_rows, on=DOCUMENT, how="anti")[DOCUMENT].to_list()
        new_vectors = encode(encoder, new_texts, batch_tokens=recipe.encode.batch_tokens)
        vector_by_text = dict(zip(new_texts, new_vectors, strict=True))
        for text, vector in stored_rows.select(DOCUMENT, VECTOR).iter_rows():
            vector_by_text[text] = np.array(vector, np.float32)
        with write_atomically(path) as building, open(building, "wb") as file:
            np.save(file, np.stack([vector_by_text[text] for text in texts]))
    vectors: Float32Array = np.load(path)
    return vectors


def measure_run(task: "EvaluationTask", truth: "GroundTruth", folder: Path) -> "UserMetrics":
    """The metrics of the lists in a model's folder."""
    from artrec_core.evaluation.lists import read_lists
    from artrec_core.evaluation.ranking import LONGEST_LIST
    from artrec_core.evaluation.report import measure_lists

    user_ids = task.test_users[USER_ID].to_list()
    lists = [
        read_lists(folder / name, user_ids, task.artwork_ids, LONGEST_LIST)
        for name in (LISTS, HIDDEN_LISTS, AMONG_HIDDEN_LISTS)
        if (folder / name).exists()
    ]
    return measure_lists(truth, *lists)
