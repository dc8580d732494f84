"""The text tower: any Hugging Face encoder or decoder turns texts into vectors of unit length."""

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
# On a CPU each thread encodes one batch: small batches stay in the thread's cache and need less padding.
BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}


class TextGroup(NamedTuple):
    """Texts of similar lengths, padded together.

    `rows` (texts,) are their places in the batch; `ids` and `mask` are (texts, longest).
    """

    rows: Tensor
    ids: Tensor
    mask: Tensor


class TextEncoder(nn.Module):
    """A language model with its tokenizer, and the rule that makes one vector of its token states.

    Parameters
    ----------
    backbone
        The language model.
    tokenizer
        The model's tokenizer.
    pooling
        The vector is the mean of the token states, or the state of the last token.
    max_tokens
        Longer texts are cut.
    precision
        The type of matrix products. Where the device has no instructions for it, they are float32.
    """

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
        """Load a base model, or a model that `save` wrote. A saved model keeps its own settings.

        Parameters
        ----------
        folder
            The model's folder.
        pooling
            `auto` chooses by the kind of model (`choose_pooling`).
        max_tokens
            Longer texts are cut.
        precision
            `auto` chooses what suits `device`; the choice is saved with the model. If the device has no instructions for
            the precision, that is logged.
        device
            Where the model will run.
        weights
            The type of the parameters.
        """
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        backbone = AutoModel.from_pretrained(folder, dtype=weights, trust_remote_code=False, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if (folder / SETTINGS).exists():
            settings = json.loads((folder / SETTINGS).read_text())
        else:
            settings = {
                "pooling": choose_pooling(backbone.config) if pooling == "auto" else pooling,
                "max_tokens": max_tokens,
                "precision": auto_precision(device) if precision == "auto" else precision,
            }
        if notice := precision_notice(settings["precision"], device):
            _log_once(notice)
        return cls(backbone, tokenizer, **settings)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), tokenizer and settings. LoRA weights are merged into the base model first."""
        backbone: Any = self.backbone
        if hasattr(backbone, "merge_and_unload"):
            backbone = backbone.merge_and_unload()
        backbone.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / SETTINGS).write_text(json.dumps(self.settings, indent=1))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that a vector depends on, besides weights and tokenizer."""
        return {"pooling": self.pooling, "max_tokens": self.max_tokens, "precision": self.precision}

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return int(cast("Any", self.backbone).config.hidden_size)

    def digest(self) -> str:
        """A digest of everything that a vector depends on: weights, tokenizer and settings."""
        digest = hashlib.blake2b(json.dumps(self.settings, sort_keys=True).encode(), digest_size=12)
        digest.update(json.dumps(sorted(self.tokenizer.get_vocab().items())).encode())
        for name, tensor in sorted(self.backbone.state_dict().items()):
            digest.update(name.encode() + tensor.detach().float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, at most `max_tokens`.

        Text is data: text that looks like a control token (`[SEP]`, `<|im_start|>`) becomes ordinary tokens.
        """
        # A unigram tokenizer still finds some control tokens in plain text. A space inside them prevents that.
        for control in self._readable_controls:
            texts = [text.replace(control, f"{control[0]} {control[1:]}") for text in texts]
        if not texts:
            return []
        end = self._end_token
        limit = self.max_tokens - (end is not None)
        tokens: list[list[int]] = self.tokenizer(
            [text.replace("\0", " ") for text in texts],
            truncation=True,
            max_length=limit,
            split_special_tokens=True,
            return_attention_mask=False,
        )["input_ids"]
        return tokens if end is None else [[*ids, end] for ids in tokens]

    @cached_property
    def _readable_controls(self) -> list[str]:
        """Control tokens that the tokenizer finds in plain text."""
        controls = [token for token in self.tokenizer.all_special_tokens if token != self.tokenizer.unk_token]
        if not controls:
            return []
        tokens = self.tokenizer(controls, split_special_tokens=True, add_special_tokens=False)["input_ids"]
        control_ids = self.tokenizer.convert_tokens_to_ids(controls)
        return [
            control for control, ids, control_id in zip(controls, tokens, control_ids, strict=True) if control_id in ids
        ]

    @property
    def _end_token(self) -> int | None:
        # Pooling takes the state of the last token. A decoder sums up the text in an end token.
        return cast("int | None", self.tokenizer.eos_token_id) if self.pooling == "last" else None

    def pad(self, tokens: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids and mask, (texts, longest) each; padding is at the end."""
        width = max(len(ids) for ids in tokens)
        padding = self.tokenizer.pad_token_id or 0
        ids = torch.full((len(tokens), width), padding, dtype=torch.long)
        mask = torch.zeros(len(tokens), width, dtype=torch.long)
        for row, text_ids in enumerate(tokens):
            ids[row, : len(text_ids)] = torch.tensor(text_ids)
            mask[row, : len(text_ids)] = 1
        return ids, mask

    def pad_groups(self, tokens: Sequence[list[int]], groups: int) -> list[TextGroup]:
        """Pad the texts in exactly `groups` groups (or one for each text, if there are fewer) with the least padding."""
        parts = groups_by_length([len(ids) for ids in tokens], groups)
        return [TextGroup(torch.tensor(rows), *self.pad([tokens[row] for row in rows])) for rows in parts]

    def encode_groups(self, groups: Sequence[TextGroup]) -> Tensor:
        """(texts, dim) vectors in the order of the batch; each group is encoded in one call. Gradients flow."""
        device = next(self.parameters()).device
        # One lookup for all groups: the gradient of each lookup is as large as the table.
        lookup = cast("Any", self.backbone).get_input_embeddings()
        embeddings = lookup(torch.cat([group.ids.flatten() for group in groups]).to(device))
        parts = zip(groups, embeddings.split([group.ids.numel() for group in groups]), strict=True)
        # One region of autocast: cast weights are cached until the region ends.
        with _autocast(device.type, self.precision):
            vectors_by_group = [
                self._vectors(group.mask.to(device), inputs_embeds=part.view(*group.ids.shape, -1))
                for group, part in parts
            ]
        vectors = torch.cat(vectors_by_group)
        return vectors[torch.cat([group.rows for group in groups]).argsort().to(device)]

    def for_encoding(self) -> "TextEncoder":
        """The encoder that `encode` runs: itself, or on a CPU a copy with faster linear maps (packed or int8)."""
        on_cpu = next(self.parameters()).device.type == "cpu"
        if not on_cpu or not (self.precision == "int8" or can_pack(self.backbone)):
            return self
        # The copy is valid until a weight is written: torch counts writes in `_version`.
        versions = sum(weight._version for weight in self.parameters())
        if self._copy is None or self._copy[0] != versions:
            copied = TextEncoder(self._fast_backbone(), self.tokenizer, **self.settings)
            # Not a submodule: its weights must not be trained or saved.
            object.__setattr__(self, "_copy", (versions, copied))
        assert self._copy is not None
        return self._copy[1]

    def _fast_backbone(self) -> nn.Module:
        if self.precision == "int8":
            # numba takes half a second to import, and only int8 needs it.
            from artrec_core.model.cpu.int8 import quantize_backbone

            return quantize_backbone(self.backbone)
        uses_bfloat16 = self.precision == "bfloat16" and multiplies_bfloat16()
        return pack_backbone(self.backbone, torch.bfloat16 if uses_bfloat16 else torch.float32)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(texts, tokens) ids and mask -> (texts, dim) float32 vectors of unit length."""
        return self._vectors(mask, input_ids=ids)

    def _vectors(self, mask: Tensor, **inputs: Tensor) -> Tensor:
        with _autocast(mask.device.type, self.precision):
            states = self.backbone(attention_mask=mask, **inputs).last_hidden_state
        states = states.float()
        if self.pooling == "last":
            pooled = states[torch.arange(len(mask), device=mask.device), mask.sum(1) - 1]
        else:
            weights = mask[..., None].float()
            pooled = (states * weights).sum(1) / weights.sum(1)
        return F.normalize(pooled, dim=-1)


def choose_pooling(config: Any) -> Pooling:
    """Mean over the tokens for a bidirectional model, the last token for a causal one."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    is_encoder = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    return "mean" if is_encoder else "last"


def prepare_training(
    encoder: TextEncoder, tuning: Literal["full", "lora", "frozen"], *, lora_rank: int, checkpointing: bool
) -> None:
    """Prepare the encoder for training.

    Parameters
    ----------
    encoder
        It is changed in place.
    tuning
        Train all weights, LoRA matrices added to every linear map, or none.
    lora_rank
        Rank of the LoRA matrices.
    checkpointing
        Recompute activations in the backward step instead of storing them: less memory, more time.
    """
    backbone: Any = encoder.backbone
    if checkpointing:
        backbone.activation_checkpointing_enable()
    if tuning == "frozen":
        backbone.requires_grad_(False)
    if tuning == "lora":
        from peft import LoraConfig, get_peft_model

        settings = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, lora_dropout=0.0, target_modules="all-linear")
        with warnings.catch_warnings():
            # peft reads names that transformers 5 has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            encoder.backbone = get_peft_model(backbone, settings)
        if checkpointing:
            backbone.enable_input_require_grads()


def encode(
    encoder: TextEncoder,
    texts: Sequence[str],
    *,
    batch_tokens: int | Literal["auto"] = "auto",
    advance: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """Encode each distinct text once, in batches of similar lengths.

    Parameters
    ----------
    encoder
        The text tower.
    texts
        The texts; their order does not change a vector.
    batch_tokens
        Tokens in a batch, padding included; `auto` suits the device.
    advance
        Called with the number of texts encoded since the last call, to show progress.

    Returns
    -------
    NDArray
        (texts, dim) float32 vectors of unit length.
    """
    out = np.zeros((len(texts), encoder.dim), np.float32)
    if not texts:
        return out
    distinct, rows_in_distinct = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
    tokens = encoder.tokens(distinct.tolist())
    vectors = np.zeros((len(distinct), encoder.dim), np.float32)
    fast_encoder = encoder.for_encoding()
    device = next(fast_encoder.parameters()).device
    counts = np.bincount(rows_in_distinct, minlength=len(distinct))
    fast_encoder.eval()

    def encode_batch(rows: list[int]) -> NDArray[np.float32]:
        with torch.inference_mode():
            ids, mask = fast_encoder.pad([tokens[row] for row in rows])
            batch_vectors: NDArray[np.float32] = fast_encoder(ids.to(device), mask.to(device)).cpu().numpy()
        return batch_vectors

    max_tokens = BATCH_TOKENS[device.type] if batch_tokens == "auto" else batch_tokens
    batches = list(batches_by_length([len(ids) for ids in tokens], max_tokens))
    # A small model's products are too small for several threads, so each thread encodes a batch of its own. A large model
    # (it has no fast copy) fills all threads by itself.
    threads = 1 if fast_encoder is encoder else min(torch.get_num_threads(), len(batches))
    with torch_thread_pool(threads) if threads > 1 else contextlib.nullcontext() as pool:
        for rows, batch_vectors in zip(batches, (pool.map if pool else map)(encode_batch, batches), strict=True):
            vectors[rows] = batch_vectors
            advance(int(counts[rows].sum()))
    return vectors[rows_in_distinct]


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Rows in batches of at most `batch_tokens` tokens, padding included; the longest texts come first."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def groups_by_length(lengths: Sequence[int], groups: int) -> list[list[int]]:
    """Rows in exactly min(groups, rows) groups, so that padding each group to its longest row takes the fewest tokens.

    Dynamic programming over the rows, from the longest to the shortest.
    """
    count = len(lengths)
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    sizes = np.arange(count + 1) - np.arange(count)[:, None]
    # Tokens of a group from the i-th longest row up to the j-th: each is padded to the i-th.
    cost = np.where(sizes > 0, sizes * np.asarray(lengths, np.float64)[order][:, None], np.inf)
    best, begins = np.concatenate([[0.0], np.full(count, np.inf)]), []
    for _ in range(min(groups, count)):
        tokens = best[:count, None] + cost
        begins.append(tokens.argmin(0))
        best = tokens.min(0)
    out: list[list[int]] = []
    end = count
    for begin in reversed(begins):
        out.append(order[begin[end] : end].tolist())
        end = int(begin[end])
    return out[::-1]


def _autocast(device: str, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    # int8 is for encoding on a CPU. Training there is float32, and a GPU uses bfloat16 instead.
    wants_bfloat16 = precision == "bfloat16" or (precision == "int8" and device != "cpu")
    return torch.autocast(device, torch.bfloat16, enabled=wants_bfloat16 and multiplies_bfloat16(device))


@lru_cache
def _log_once(notice: str) -> None:
    log.info(notice)
