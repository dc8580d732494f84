"""The two towers: artworks and people as vectors whose inner product says how well they go together."""

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from artrec_core.errors import ArtrecError
from artrec_core.model.sequences import GAPS, SIGNALS
from artrec_core.model.user_encoder import UserEncoder

if TYPE_CHECKING:
    from artrec_core.model.text_encoder import TextEncoder

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
ARTWORKS = "artworks.json"
TEXT = "text"
FORMAT = 2


@dataclass(frozen=True)
class Shape:
    """What decides the sizes of the weights, and the dropouts they are trained with."""

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

    Row `shape.works` of the id table is the unknown id: training puts it in the place of ids it drops at random, so a
    work that nobody has seen has a good vector of the same scale. The text tower lies beside the weights and is loaded
    when it is first needed: a night on which no text changed never loads it.
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
        # How sharp the softmax over inner products is; part of the user vectors, so that scoring needs the product alone.
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.user = UserEncoder(
            dim=shape.dim,
            layers=shape.layers,
            heads=shape.heads,
            dropout=shape.dropout,
            positions=shape.max_history,
            kinds=SIGNALS,
            gaps=GAPS,
        )

    def projected(self, text: Tensor) -> Tensor:
        """Text vectors (n, text_dim), of artworks or of interests, -> (n, dim)."""
        # Vectors of unit length that share most of their direction: centred and rescaled, the projection sees what differs.
        out: Tensor = self.projection((text - self.text_mean) * self.shape.text_dim**0.5)
        return out

    def works(self, text: Tensor, rows: Tensor) -> Tensor:
        """Artwork vectors (n, dim) from text vectors (n, text_dim) and rows of the id table (n,)."""
        if self.shape.id_dropout >= 1:  # no id was ever trained but the unknown one
            rows = torch.full_like(rows, self.shape.works)
        elif self.training and self.shape.id_dropout > 0:
            dropped = torch.rand(rows.shape, device=rows.device) < self.shape.id_dropout
            rows = torch.where(dropped, self.shape.works, rows)
        return self._placed(text, self.ids(rows))

    def _placed(self, text: Tensor, ids: Tensor) -> Tensor:
        # One length for all: a work nobody has seen stands beside the known ones, and popularity is a direction, not a size.
        return F.normalize(self.projected(text) + ids, dim=-1)

    def people(self, interests: Tensor, has_interest: Tensor, works: Tensor, signals: Tensor, gaps: Tensor) -> Tensor:
        """User vectors before the first event and after each one, (people, positions + 1, dim).

        `interests` (people, text_dim) are text vectors; `works` (people, positions, dim) artwork vectors.
        """
        width = self.shape.dim**0.5
        # What somebody is interested in is read as a work that nobody has seen, with this text.
        first = self._placed(interests, self.ids.weight[self.shape.works])
        states: Tensor = self.user(first * width, has_interest, works * width, signals, gaps)
        out: Tensor = states * (self.log_scale.exp() / width)
        return out

    def rows_of(self, artwork_ids: list[str]) -> Tensor:
        """Rows of the id table; the unknown id's where training did not see the work."""
        known = self._known
        return torch.tensor([known.get(one, self.shape.works) for one in artwork_ids], dtype=torch.long)

    @cached_property
    def _known(self) -> dict[str, int]:
        return {one: row for row, one in enumerate(self.artwork_ids)}

    @cached_property
    def text(self) -> "TextEncoder":
        """The text tower."""
        from artrec_core.model.text_encoder import TextEncoder

        if self.folder is None:
            raise ArtrecError("this model was not loaded from a folder, so it has no text tower beside it")
        return TextEncoder.load(self.folder / TEXT)

    def save(self, folder: Path) -> None:
        """Write weights, shape and artwork ids; the text tower's files are to stand in `folder / TEXT` already."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        (folder / ARTWORKS).write_text(json.dumps(self.artwork_ids, ensure_ascii=False))
        config = {"format": FORMAT, "text_tower_digest": self.text_tower_digest, "shape": asdict(self.shape)}
        (folder / CONFIG).write_text(json.dumps(config, indent=1))

    @classmethod
    def load(cls, folder: str | Path) -> "TwoTower":
        """A model that `save` wrote, ready to make vectors; `ArtrecError` where the folder does not hold one."""
        folder = Path(folder)
        try:
            config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
            artwork_ids = json.loads((folder / ARTWORKS).read_text())
            weights = load_file(folder / WEIGHTS)
        except (OSError, ValueError) as error:
            raise ArtrecError(
                f"{folder} does not hold a whole model ({error}); train again with `artrec train`"
            ) from error
        if config["format"] != FORMAT:
            raise ArtrecError(
                f"{folder} holds a model of format {config['format']}, this code reads {FORMAT}; train again"
            )
        tower = cls(Shape(**config["shape"]), artwork_ids, config["text_tower_digest"])
        tower.load_state_dict(weights)
        tower.folder = folder
        if not all(bool(np.isfinite(tensor.numpy()).all()) for tensor in weights.values()):
            raise ArtrecError(f"{folder} holds weights that are not finite; it must not be served")
        return tower.eval()
