"""The two-tower model: artworks and users as vectors; their inner product is the score."""

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from artrec_core.errors import ArtrecError
from artrec_core.model.sequences import GAP_COUNT, SIGNAL_COUNT
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.user_encoder import UserEncoder

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
ARTWORKS = "artworks.json"
TEXT = "text"
FORMAT = 2


@dataclass(frozen=True)
class Shape:
    """Sizes of the weights, and the dropout rates of training.

    Saved under these field names in the model's `config.json`. `works` is the number of artworks in the training data.
    """

    text_dim: int
    works: int
    dim: int
    layers: int
    heads: int
    max_history: int
    dropout: float = 0.0
    id_dropout: float = 0.0


class TwoTower(nn.Module):
    """Artwork vector = projected text vector + id vector; user vector = the user tower's state after the last event.

    Row `shape.works` of the id table is the unknown id. Training uses it for ids that it drops at random, so an artwork
    without events gets a good vector of the same scale. The text tower is saved beside the weights. It is loaded at its
    first use: a night on which no text changed does not need it.
    """

    def __init__(self, shape: Shape, artwork_ids: list[str], text_tower_digest: str = "") -> None:
        super().__init__()
        self.shape = shape
        self.artwork_ids = artwork_ids
        self.text_tower_digest = text_tower_digest
        self.folder: Path | None = None
        self.text_mean: Tensor
        self.register_buffer("text_mean", torch.zeros(shape.text_dim))
        self.projection = nn.Linear(shape.text_dim, shape.dim)
        self.ids = nn.Embedding(shape.works + 1, shape.dim)
        nn.init.normal_(self.ids.weight, std=0.02)
        # Inverse temperature of the softmax. User vectors contain it, so that scoring needs only the inner product.
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.user = UserEncoder(
            dim=shape.dim,
            layers=shape.layers,
            heads=shape.heads,
            dropout=shape.dropout,
            positions=shape.max_history,
            kinds=SIGNAL_COUNT,
            gaps=GAP_COUNT,
        )

    def project_text(self, text: Tensor) -> Tensor:
        """Map text vectors (n, text_dim), of artworks or of interests, to (n, dim)."""
        # Text vectors have unit length and share most of their direction. Centring and rescaling leaves what differs.
        projection: Tensor = self.projection((text - self.text_mean) * self.shape.text_dim**0.5)
        return projection

    def artwork_vectors(self, text: Tensor, rows: Tensor) -> Tensor:
        """Artwork vectors of unit length.

        Parameters
        ----------
        text
            (n, text_dim) text vectors.
        rows
            (n,) rows of the id table. In training mode, `shape.id_dropout` of them become the unknown id.

        Returns
        -------
        Tensor
            (n, dim).
        """
        if self.shape.id_dropout >= 1:  # only the unknown id was trained
            rows = torch.full_like(rows, self.shape.works)
        elif self.training and self.shape.id_dropout > 0:
            dropped = torch.rand(rows.shape, device=rows.device) < self.shape.id_dropout
            rows = torch.where(dropped, self.shape.works, rows)
        return self._add_ids(text, self.ids(rows))

    def _add_ids(self, text: Tensor, ids: Tensor) -> Tensor:
        # Unit length for all: artworks without events compare with known ones, and popularity is a direction, not a length.
        return F.normalize(self.project_text(text) + ids, dim=-1)

    def user_vectors(
        self, interests: Tensor, has_interest: Tensor, artworks: Tensor, signals: Tensor, gaps: Tensor
    ) -> Tensor:
        """User vectors before the first event and after each event.

        Parameters
        ----------
        interests
            (users, text_dim) text vectors of the stated interests.
        has_interest
            (users,) whether the user stated interests; if not, the row of `interests` is ignored.
        artworks
            (users, positions, dim) artwork vectors of the events.
        signals, gaps
            (users, positions) as in `Sequences`.

        Returns
        -------
        Tensor
            (users, positions + 1, dim).
        """
        width = self.shape.dim**0.5
        # A stated interest is read like an artwork with this text and the unknown id.
        first = self._add_ids(interests, self.ids.weight[self.shape.works])
        states: Tensor = self.user(first * width, has_interest, artworks * width, signals, gaps)
        vectors: Tensor = states * (self.log_scale.exp() / width)
        return vectors

    def id_rows(self, artwork_ids: list[str]) -> Tensor:
        """(n,) rows of the id table; artworks that were not in the training data get the unknown id's row."""
        row_of = self._row_of
        return torch.tensor([row_of.get(artwork_id, self.shape.works) for artwork_id in artwork_ids], dtype=torch.long)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {artwork_id: row for row, artwork_id in enumerate(self.artwork_ids)}

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The text tower, loaded from the model's folder; `ArtrecError` if the model was not loaded from a folder."""
        if self.folder is None:
            raise ArtrecError(
                "this model was not loaded from a folder, so it has no text tower; load it with TwoTower.load"
            )
        return TextEncoder.load(self.folder / TEXT)

    def save(self, folder: Path) -> None:
        """Write weights, shape and artwork ids. The text tower is not written: save it in `folder / TEXT` first."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        (folder / ARTWORKS).write_text(json.dumps(self.artwork_ids, ensure_ascii=False))
        config = {"format": FORMAT, "text_tower_digest": self.text_tower_digest, "shape": asdict(self.shape)}
        (folder / CONFIG).write_text(json.dumps(config, indent=1))

    @classmethod
    def load(cls, folder: str | Path) -> "TwoTower":
        """Read a model that `save` wrote, in evaluation mode.

        Raises
        ------
        ArtrecError
            If files are missing or unreadable, the format is another one, or weights are not finite.
        """
        folder = Path(folder)
        try:
            config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
            artwork_ids = json.loads((folder / ARTWORKS).read_text())
            weights = load_file(folder / WEIGHTS)
        except (OSError, ValueError) as error:
            raise ArtrecError(
                f"{folder} does not hold a complete model ({error}); train again with `artrec train`"
            ) from error
        if config["format"] != FORMAT:
            raise ArtrecError(
                f"{folder} holds a model of format {config['format']}, but this code reads format {FORMAT}; train again"
            )
        tower = cls(Shape(**config["shape"]), artwork_ids, config["text_tower_digest"])
        tower.load_state_dict(weights)
        tower.folder = folder
        if not all(bool(np.isfinite(tensor.numpy()).all()) for tensor in weights.values()):
            raise ArtrecError(f"{folder} holds weights that are not finite, so it cannot be served; train again")
        return tower.eval()
