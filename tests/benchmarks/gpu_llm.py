"""Encoding and training with a language model of a billion parameters on a GPU.

`python -m tests.benchmarks.gpu_llm --help`

One call checks a small model of each family against float64 and then times every shape. A shape is that of a published
model, with random weights. Documents are random words with lengths like those of museums' records. It runs our
`encode`, our batches of the text phase and our training step in one process.

The limit is the measured rate of a large bf16 matrix product. A row's share is the model's operations for the tokens
without padding, divided by that rate: 2 operations per weight of a linear map and token, plus causal attention; three
times that for training. What checkpointing computes again does not count.

Needs torch, transformers, numpy, polars and pydantic; neither Ray nor DeepSpeed. `--small` runs tiny shapes, also on a
CPU.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoModel, LlamaConfig, PreTrainedTokenizerFast, Qwen3Config

from artrec_core.model.distributed.engines import PlainEngine
from artrec_core.model.sequences import Sequences
from artrec_core.model.text_encoder import TextEncoder, encode, prepare_training
from artrec_core.model.text_phase import TextBatch, TextBatches, TextPhase
from artrec_core.model.training_data import TrainingData
from tests.benchmarks.gpu_topk import machine_name, product_rate, wait
from tests.benchmarks.readme_tables import BenchmarkParser, ReadmeTable, make_caption

TABLE = "gpu_llm.py"
WORDS = 2000
CONFIGS = {"qwen3": Qwen3Config, "llama": LlamaConfig}
# How weights are trained: (with gradient checkpointing, their type).
TRAINING_WAYS = ((False, torch.float32), (True, torch.float32), (False, torch.bfloat16))
# The largest deviation from float64 that the check allows: 1 - cosine of vectors and gradients, relative for the loss.
TOLERANCES = {"float32": 1e-4, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Shape:
    """The shape of a published model: family, widths and numbers of its parts."""

    name: str
    family: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    head_dim: int
    vocabulary: int

    def config(self) -> Any:
        return CONFIGS[self.family](
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            head_dim=self.head_dim,
            vocab_size=self.vocabulary,
            max_position_embeddings=4096,
            pad_token_id=0,
            eos_token_id=2,
        )


SHAPES = [
    Shape("Llama-3.2-1B", "llama", 2048, 8192, 16, 32, 8, 64, 128_256),
    Shape("Qwen3-1.7B", "qwen3", 2048, 6144, 28, 16, 8, 128, 151_936),
]
SMALL_SHAPES = [
    Shape("tiny llama", "llama", 64, 128, 2, 4, 2, 16, 4000),
    Shape("tiny qwen3", "qwen3", 64, 128, 2, 4, 2, 16, 4000),
]


@dataclass(frozen=True)
class Sizes:
    """How much is encoded and trained on; each of `max_tokens` is tried."""

    max_tokens: tuple[int, ...]
    documents: int
    batch_tokens: int
    text_batch: int
    steps: int


class RateTable:
    """The table of rates; each row is compared with `limit` operations per second."""

    def __init__(self, device: torch.device, limit: float) -> None:
        self.device, self.limit = device, limit
        self.table = ReadmeTable(
            TABLE,
            *("model", "parameters", "tokens, at most (mean)", "what", "tokens per second", "TFLOP/s"),
            *("share of the product", "drawing batches", "padding", "GiB, at most"),
        )

    def add_row(
        self,
        labels: list[str],
        tokens_per_second: float,
        operations_per_second: float,
        details: tuple[str, str] = ("", ""),
    ) -> None:
        """Add a row; `details` are the shares of time for drawing batches and of padding."""
        memory = ""
        if self.device.type == "cuda":
            memory = f"{torch.cuda.max_memory_allocated() / 2**30:.0f}"
            torch.cuda.reset_peak_memory_stats()
        rates = [f"{operations_per_second / 1e12:.2f}", f"{operations_per_second / self.limit:.1%}"]
        self.table.add_row(*labels, f"{tokens_per_second:,.0f}", *rates, *details, memory)

    def add_failure(self, labels: list[str], reason: str) -> None:
        """Add a row without figures."""
        self.table.add_row(*labels, reason, *[""] * 5)


def main() -> None:
    parser = BenchmarkParser(__doc__, TABLE)
    parser.add_argument("--small", action="store_true", help="tiny shapes; runs on a CPU if there is no GPU")
    names = ", ".join(shape.name for shape in SHAPES)
    parser.add_argument("--shapes", nargs="+", metavar="NAME", help=f"only these of {names}")
    parser.add_argument("--max-tokens", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--documents", type=int, default=8192)
    parser.add_argument("--batch-tokens", type=int, default=65_536)
    parser.add_argument("--text-batch", type=int, default=128, help="documents per step, and half as many queries")
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.small:
        parser.error("there is no GPU here; --small runs on a CPU")
    sizes = Sizes(tuple(options.max_tokens), options.documents, options.batch_tokens, options.text_batch, options.steps)
    if options.small:
        sizes = Sizes((24, 48), 96, 1024, 8, 2)
    limit = product_rate(device, 8192 if device.type == "cuda" else 512)
    for shape in SMALL_SHAPES:
        check_shape(shape, device)
    rates = RateTable(device, limit)
    for shape in SMALL_SHAPES if options.small else SHAPES:
        if not options.shapes or shape.name in options.shapes:
            for max_tokens in sizes.max_tokens:
                time_encoding(shape, sizes, max_tokens, rates)
                for checkpointing, dtype in TRAINING_WAYS:
                    time_training(shape, sizes, max_tokens, rates, checkpointing=checkpointing, dtype=dtype)
    caption = make_caption(
        sizes=f"bf16 matrix product: {limit / 1e12:.2f} TFLOP/s",
        machine=machine_name(device),
        libraries=["torch", "transformers"],
    )
    rates.table.finish(caption, write=options.write)


def language_model(shape: Shape, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A model with random weights, created on the device."""
    torch.manual_seed(0)
    with torch.device(device):
        model: nn.Module = AutoModel.from_config(shape.config(), dtype=dtype)
    return model


def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word."""
    words = ["[PAD]", "[UNK]", "[SEP]", *(f"w{row}" for row in range(WORDS))]
    vocabulary = {word: row for row, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]")


def random_documents(count: int, max_tokens: int, seed: int) -> list[str]:
    """Distinct texts; lengths vary like those of museums' records, and the longest are cut at `max_tokens`."""
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(np.log(0.6 * max_tokens), 0.5, count), 4, max_tokens).astype(int)
    return [" ".join(f"w{word}" for word in random.integers(0, WORDS, length)) for length in lengths]


def training_data(texts: list[str]) -> TrainingData:
    """Artworks without users, for the second task alone: some words of each document are a query for it."""
    no_rows = np.zeros(0, np.int64)
    no_flags = np.zeros(0, bool)
    return TrainingData(
        artwork_ids=[str(row) for row in range(len(texts))],
        documents=texts,
        interests=[],
        interest_of=no_rows,
        queries=[(" ".join(text.split()[:6]), row) for row, text in enumerate(texts)],
        histories=Sequences(np.zeros(1, np.int64), no_rows, no_rows, no_rows, no_flags, no_flags),
        validation=np.zeros((0, 2), np.int64),
    )


def forward_operations(backbone: nn.Module, config: Any, lengths: np.ndarray) -> float:
    """Operations of a forward pass over texts of these lengths: linear maps and causal attention."""
    linear_maps = [module for module in backbone.modules() if isinstance(module, nn.Linear)]
    weights = sum(module.in_features * module.out_features for module in linear_maps)
    # Two products of (t, head_dim) and (head_dim, t) per head, of which causal attention needs half.
    attention = 2.0 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    return float(2.0 * weights * lengths.sum() + attention * np.square(lengths.astype(np.float64)).sum())


def row_labels(shape: Shape, model: nn.Module, max_tokens: int, lengths: np.ndarray, what: str) -> list[str]:
    parameters = sum(weight.numel() for weight in model.parameters())
    return [shape.name, f"{parameters / 1e9:.2f}e9", f"{max_tokens} ({lengths.mean():.0f})", what]


def time_encoding(shape: Shape, sizes: Sizes, max_tokens: int, rates: RateTable) -> None:
    """Encode all documents, tokenizing included."""
    texts = random_documents(sizes.documents, max_tokens, seed=1)
    model = language_model(shape, rates.device, torch.bfloat16)
    encoder = TextEncoder(model, word_tokenizer(), pooling="last", max_tokens=max_tokens, precision="bfloat16")
    lengths = np.array([len(ids) for ids in encoder.tokens(texts)])
    seconds = best_seconds(lambda: encode(encoder, texts, batch_tokens=sizes.batch_tokens), rates.device, 3)
    operations = forward_operations(model, shape.config(), lengths)
    labels = row_labels(shape, model, max_tokens, lengths, "encode")
    rates.add_row(labels, lengths.sum() / seconds, operations / seconds)


def time_training(
    shape: Shape, sizes: Sizes, max_tokens: int, rates: RateTable, *, checkpointing: bool, dtype: torch.dtype
) -> None:
    """Whole steps as `train_text` takes them: draw the batch, then forward, backward, clipping and AdamW."""
    device = rates.device
    what = f"train, weights {str(dtype).split('.')[-1]}{', checkpointed' if checkpointing else ''}"
    try:
        model = language_model(shape, device, dtype)
        encoder = TextEncoder(model, word_tokenizer(), pooling="last", max_tokens=max_tokens, precision="bfloat16")
        prepare_training(encoder, "full", lora_rank=8, checkpointing=checkpointing)
        data = training_data(random_documents(sizes.text_batch * (sizes.steps + 2), max_tokens, seed=2))
        batches = TextBatches(data, encoder, sizes.text_batch, 0, 1, seed=0)
        engine = PlainEngine(TextPhase(encoder).train(), 1e-5, 0.1)
        for step in range(2):
            engine.step(batches.draw(step))
        wait(device)
        start = time.perf_counter()
        drawn_batches = [batches.draw(step + 2) for step in range(sizes.steps)]
        drawing_seconds = time.perf_counter() - start
        for batch in drawn_batches:
            engine.step(batch)
        wait(device)
        seconds = time.perf_counter() - start
    except torch.OutOfMemoryError:
        rates.add_failure([shape.name, "", str(max_tokens), what], "does not fit in the device's memory")
        return
    lengths = np.concatenate([group.mask.sum(1).numpy() for batch in drawn_batches for group in batch.texts])
    operations = 3 * forward_operations(model, shape.config(), lengths)
    padding = np.mean([batch.padding_share for batch in drawn_batches])
    labels = row_labels(shape, model, max_tokens, lengths, what)
    details = (f"{drawing_seconds / seconds:.1%}", f"{padding:.1%}")
    rates.add_row(labels, lengths.sum() / seconds, operations / seconds, details)


def best_seconds(call: Callable[[], Any], device: torch.device, rounds: int) -> float:
    """Seconds of the best round, after one that does not count."""
    call()
    seconds = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def check_shape(shape: Shape, device: torch.device) -> None:
    """Compare vectors, loss and gradients of a small model on this device with float64 on the CPU."""
    texts = random_documents(40, 24, seed=3)
    results = []
    exact = text_encoder(shape, torch.device("cpu"), "float32", torch.float64)
    batch = TextBatches(training_data(texts), exact, 8, 0, 1, seed=0).draw(0)
    exact_vectors = encode_one_by_one(exact, texts)
    exact_loss, exact_gradient = loss_and_gradient(exact, batch)
    for precision, tolerance in TOLERANCES.items():
        encoder = text_encoder(shape, device, precision, torch.float32)
        vectors = encode(encoder, texts, batch_tokens=256)
        loss, gradient = loss_and_gradient(encoder, batch)
        vector_error = 1 - float((vectors * exact_vectors).sum(1).min())
        gradient_error = 1 - float(nn.functional.cosine_similarity(exact_gradient, gradient, dim=0))
        loss_error = abs(loss - exact_loss) / abs(exact_loss)
        results.append(f"{precision}: vectors {vector_error:.1e}, loss {loss_error:.1e}, gradient {gradient_error:.1e}")
        if not max(vector_error, loss_error, gradient_error) < tolerance:
            raise SystemExit(f"{shape.name} differs from float64 by more than {tolerance} ({results[-1]})")
    print(f"check of {shape.name}, 1 - cosine or relative: {'; '.join(results)}")


def text_encoder(shape: Shape, device: torch.device, precision: Any, dtype: torch.dtype) -> TextEncoder:
    # Drawn on the CPU in float32, so that every device has the same random weights.
    model = language_model(shape, torch.device("cpu"), torch.float32).to(device=device, dtype=dtype)
    return TextEncoder(model, word_tokenizer(), pooling="last", max_tokens=24, precision=precision).eval()


def encode_one_by_one(encoder: TextEncoder, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([encoder(*encoder.pad([ids])) for ids in encoder.tokens(texts)]).numpy()


def loss_and_gradient(encoder: TextEncoder, batch: TextBatch) -> tuple[float, torch.Tensor]:
    encoder.zero_grad()
    loss = TextPhase(encoder)(batch)
    loss.backward()
    gradients = [weight.grad.flatten().double().cpu() for weight in encoder.parameters() if weight.grad is not None]
    return float(loss.detach()), torch.cat(gradients)


if __name__ == "__main__":
    main()
