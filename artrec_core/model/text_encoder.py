"""The text tower: any Hugging Face encoder or decoder, from documents to vectors of unit length."""

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from artrec_core.model.cpu.onednn import can_pack, pack_backbone
from artrec_core.model.cpu.threads import torch_thread_pool
from artrec_core.processor import auto_precision, multiplies_bfloat16, precision_notice

log = logging.getLogger("artrec.model")

SETTINGS = "text_encoder.json"
Pooling = Literal["mean", "last"]
Precision = Literal["float32", "bfloat16", "int8"]
# On a CPU a batch a thread: its activations stay in the thread's cache, and short batches hold less padding.
BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}


class TextGroup(NamedTuple):
    """Texts of like lengths, padded together: which `rows` of the batch they are, `ids` and `mask` (rows, longest)."""

    rows: Tensor
    ids: Tensor
    mask: Tensor


class TextEncoder(nn.Module):
    """A language model and how its token states become one vector."""

    def __init__(
        self,
        backbone: nn.Module,
        tokenizer: Any,
        *,
        pooling: Pooling,
        max_tokens: int,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.max_tokens = max_tokens
        self.precision = precision
        self._copy: tuple[int, TextEncoder] | None = None

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        pooling: Literal["auto", "mean", "last"] = "auto",
        max_tokens: int = 64,
        precision: Precision | Literal["auto"] = "float32",
        device: str = "cpu",
        weights: torch.dtype = torch.float32,
    ) -> "TextEncoder":
        """A base model's folder, or one that `save` wrote (its own settings then hold).

        The precision `auto` is settled here, for `device`, and saved with the model. `weights` are what the parameters
        are kept in; products are made in `precision`, or in float32 where the device has no instructions for it, which
        is logged.
        """
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        backbone = AutoModel.from_pretrained(folder, dtype=weights, trust_remote_code=False, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if (folder / SETTINGS).exists():
            settings = json.loads((folder / SETTINGS).read_text())
        else:
            kind = choose_pooling(backbone.config) if pooling == "auto" else pooling
            settled = auto_precision(device) if precision == "auto" else precision
            settings = {"pooling": kind, "max_tokens": max_tokens, "precision": settled}
        if notice := precision_notice(settings["precision"], device):
            _say_once(notice)
        return cls(backbone, tokenizer, **settings)

    def save(self, folder: Path) -> None:
        """Weights (safetensors), tokenizer and settings; LoRA weights are merged into the base first."""
        backbone: Any = self.backbone
        if hasattr(backbone, "merge_and_unload"):
            backbone = backbone.merge_and_unload()
        backbone.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / SETTINGS).write_text(json.dumps(self.settings, indent=1))

    @property
    def settings(self) -> dict[str, Any]:
        """What besides the weights decides a vector."""
        return {"pooling": self.pooling, "max_tokens": self.max_tokens, "precision": self.precision}

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return int(cast("Any", self.backbone).config.hidden_size)

    def digest(self) -> str:
        """A digest of everything that decides a vector: the weights, the tokenizer, the settings."""
        found = hashlib.blake2b(json.dumps(self.settings, sort_keys=True).encode(), digest_size=12)
        found.update(json.dumps(sorted(self.tokenizer.get_vocab().items())).encode())
        for name, tensor in sorted(self.backbone.state_dict().items()):
            found.update(name.encode() + tensor.detach().float().contiguous().numpy().tobytes())
        return found.hexdigest()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, at most `max_tokens`.

        Text is data: what looks like a control token (`[SEP]`, `<|im_start|>`) is split into ordinary ones.
        """
        # A unigram tokenizer has its control tokens among the pieces of text too: it only knows them when written whole.
        for control in self._pieces_of_control:
            texts = [text.replace(control, f"{control[0]} {control[1:]}") for text in texts]
        if not texts:
            return []
        ends = self._ends_with
        limit = self.max_tokens - (ends is not None)
        found = self.tokenizer(
            [text.replace("\0", " ") for text in texts],
            truncation=True,
            max_length=limit,
            split_special_tokens=True,
            return_attention_mask=False,
        )["input_ids"]
        return found if ends is None else [[*ids, ends] for ids in found]

    @cached_property
    def _pieces_of_control(self) -> list[str]:
        """Control tokens that the tokenizer still makes of plain text."""
        controls = [one for one in self.tokenizer.all_special_tokens if one != self.tokenizer.unk_token]
        if not controls:
            return []
        read = self.tokenizer(controls, split_special_tokens=True, add_special_tokens=False)["input_ids"]
        own = self.tokenizer.convert_tokens_to_ids(controls)
        return [control for control, ids, own_id in zip(controls, read, own, strict=True) if own_id in ids]

    @property
    def _ends_with(self) -> int | None:
        # The last token's state must have seen the whole text: an end token is where a decoder sums it up.
        return cast("int | None", self.tokenizer.eos_token_id) if self.pooling == "last" else None

    def pad(self, tokens: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids and mask, (texts, longest); padding stands at the end."""
        width = max(len(ids) for ids in tokens)
        filler = self.tokenizer.pad_token_id or 0
        ids = torch.full((len(tokens), width), filler, dtype=torch.long)
        mask = torch.zeros(len(tokens), width, dtype=torch.long)
        for row, one in enumerate(tokens):
            ids[row, : len(one)] = torch.tensor(one)
            mask[row, : len(one)] = 1
        return ids, mask

    def pad_groups(self, tokens: Sequence[list[int]], groups: int) -> list[TextGroup]:
        """The texts in exactly so many groups (or one a text, where there are fewer texts) with the least padding."""
        parts = groups_by_length([len(ids) for ids in tokens], groups)
        return [TextGroup(torch.tensor(rows), *self.pad([tokens[row] for row in rows])) for rows in parts]

    def encode_groups(self, groups: Sequence[TextGroup]) -> Tensor:
        """(texts, dim) in the order of the rows, each group encoded by itself; gradients flow."""
        device = next(self.parameters()).device
        # All groups' tokens are looked up at once: the gradient of each lookup is as large as the table.
        lookup = cast("Any", self.backbone).get_input_embeddings()
        found = lookup(torch.cat([group.ids.flatten() for group in groups]).to(device))
        parts = zip(groups, found.split([group.ids.numel() for group in groups]), strict=True)
        # One region of autocast: each keeps the weights it has cast for as long as it lasts.
        with _precision(device.type, self.precision):
            each = [
                self._vectors(group.mask.to(device), inputs_embeds=part.view(*group.ids.shape, -1))
                for group, part in parts
            ]
        vectors = torch.cat(each)
        return vectors[torch.cat([group.rows for group in groups]).argsort().to(device)]

    def for_encoding(self) -> "TextEncoder":
        """What `encode` runs: itself, or on a CPU a copy whose linear maps are faster: packed, or in eight bits."""
        on_cpu = next(self.parameters()).device.type == "cpu"
        if not on_cpu or not (self.precision == "int8" or can_pack(self.backbone)):
            return self
        # The copy stands for as long as no weight is written to.
        versions = sum(weight._version for weight in self.parameters())
        if self._copy is None or self._copy[0] != versions:
            copied = TextEncoder(self._fast_backbone(), self.tokenizer, **self.settings)
            object.__setattr__(self, "_copy", (versions, copied))  # no submodule: its weights are not trained or saved
        assert self._copy is not None
        return self._copy[1]

    def _fast_backbone(self) -> nn.Module:
        if self.precision == "int8":
            from artrec_core.model.cpu.int8 import (
                quantize_backbone,  # numba: half a second that the other precisions do not need
            )

            return quantize_backbone(self.backbone)
        has_half = self.precision == "bfloat16" and multiplies_bfloat16()
        return pack_backbone(self.backbone, torch.bfloat16 if has_half else torch.float32)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(texts, tokens) ids and mask -> (texts, dim) float32 of unit length."""
        return self._vectors(mask, input_ids=ids)

    def _vectors(self, mask: Tensor, **inputs: Tensor) -> Tensor:
        with _precision(mask.device.type, self.precision):
            states = self.backbone(attention_mask=mask, **inputs).last_hidden_state
        states = states.float()
        if self.pooling == "last":
            pooled = states[torch.arange(len(mask), device=mask.device), mask.sum(1) - 1]
        else:
            weights = mask[..., None].float()
            pooled = (states * weights).sum(1) / weights.sum(1)
        return F.normalize(pooled, dim=-1)


def choose_pooling(config: Any) -> Pooling:
    """Mean over the tokens for models that see both ways, the last token for those that see only the past."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    both_ways = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    return "mean" if both_ways else "last"


def prepare_training(
    encoder: TextEncoder, tuning: Literal["full", "lora", "frozen"], *, lora_rank: int, checkpointing: bool
) -> None:
    """Make ready for training: which weights move, and whether activations are computed again to save memory."""
    backbone: Any = encoder.backbone
    if checkpointing:
        backbone.activation_checkpointing_enable()
    if tuning == "frozen":
        backbone.requires_grad_(False)
    if tuning == "lora":
        from peft import LoraConfig, get_peft_model

        settings = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, lora_dropout=0.0, target_modules="all-linear")
        with warnings.catch_warnings():
            # peft still reads names that transformers 5 has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            encoder.backbone = get_peft_model(backbone, settings)
        if checkpointing:
            backbone.enable_input_require_grads()


def encode(
    encoder: TextEncoder,
    texts: Sequence[str],
    *,
    batch_tokens: int | Literal["auto"] = "auto",
    advance: Callable[[int], None] = lambda n: None,
) -> NDArray[np.float32]:
    """(texts, dim) vectors of unit length; each distinct text is encoded once, in batches of like lengths.

    The order of `texts` does not change a vector. `advance` is told how many texts are done.
    """
    out = np.zeros((len(texts), encoder.dim), np.float32)
    if not texts:
        return out
    distinct, where = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
    tokens = encoder.tokens(distinct.tolist())
    vectors = np.zeros((len(distinct), encoder.dim), np.float32)
    copied = encoder.for_encoding()
    device = next(copied.parameters()).device
    counts = np.bincount(where, minlength=len(distinct))
    copied.eval()

    def encoded(rows: list[int]) -> NDArray[np.float32]:
        with torch.inference_mode():
            ids, mask = copied.pad([tokens[row] for row in rows])
            found: NDArray[np.float32] = copied(ids.to(device), mask.to(device)).cpu().numpy()
        return found

    most = BATCH_TOKENS[device.type] if batch_tokens == "auto" else batch_tokens
    batches = list(batches_by_length([len(ids) for ids in tokens], most))
    # The products of a small model are too small to share. A large one (no copy is made of it) fills all threads by itself.
    threads = 1 if copied is encoder else min(torch.get_num_threads(), len(batches))
    with torch_thread_pool(threads) if threads > 1 else contextlib.nullcontext() as pool:
        for rows, found in zip(batches, (pool.map if pool else map)(encoded, batches), strict=True):
            vectors[rows] = found
            advance(int(counts[rows].sum()))
    return vectors[where]


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Rows in batches of at most `batch_tokens` tokens, padding included; the longest come first."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def groups_by_length(lengths: Sequence[int], groups: int) -> list[list[int]]:
    """Rows in exactly min(groups, rows) groups of like lengths, so that padding to a group's longest is least.

    Dynamic programming over the rows from the longest down; the number of groups depends on that of the rows alone.
    """
    many = len(lengths)
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    sizes = np.arange(many + 1) - np.arange(many)[:, None]
    # Tokens of a group from the i-th longest up to the j-th: all as long as the i-th.
    cost = np.where(sizes > 0, sizes * np.asarray(lengths, np.float64)[order][:, None], np.inf)
    best, begins = np.concatenate([[0.0], np.full(many, np.inf)]), []
    for _ in range(min(groups, many)):
        tokens = best[:many, None] + cost
        begins.append(tokens.argmin(0))
        best = tokens.min(0)
    out: list[list[int]] = []
    end = many
    for begin in reversed(begins):
        out.append(order[begin[end] : end].tolist())
        end = int(begin[end])
    return out[::-1]


def _precision(device: str, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    # Eight bits are for encoding on a CPU: training there is float32, and a GPU is fast enough in bfloat16.
    wants_half = precision == "bfloat16" or (precision == "int8" and device != "cpu")
    return torch.autocast(device, torch.bfloat16, enabled=wants_half and multiplies_bfloat16(device))


@lru_cache
def _say_once(notice: str) -> None:
    log.info(notice)
