"""A small text tower distilled from a large one: some of its layers, trained until they give its vectors.

Keeping evenly spaced layers of the teacher is how DistilBERT begins (Sanh et al. 2019).
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from artrec_core.errors import ConfigError
from artrec_core.model.base_models import cache_lock
from artrec_core.model.text_encoder import TextEncoder, encode

BATCH_SIZE = 64
GROUPS = 4
LEARNING_RATE = 3e-4
EPOCHS = 4
# Vectors of so many documents teach the rest: a catalogue of a hundred thousand would take hours on a laptop.
MAX_DOCUMENTS = 20_000


def distill(
    base: Path,
    documents: Sequence[str],
    layers: int,
    cache: Path,
    *,
    max_tokens: int = 64,
    seed: int = 0,
    passes: int = EPOCHS,
    advance: Callable[[int], None] = lambda n: None,
) -> Path:
    """The folder, in the cache, of the base model's `layers` evenly spaced layers that were taught its vectors.

    Made once for the same base, documents and settings. `advance` is told how many documents were taught.
    """
    texts = sorted(set(documents))
    random = np.random.default_rng(seed)
    if len(texts) > MAX_DOCUMENTS:
        texts = [texts[row] for row in np.sort(random.choice(len(texts), MAX_DOCUMENTS, replace=False))]
    teacher = TextEncoder.load(base, max_tokens=max_tokens, precision="auto")
    made_of = [teacher.digest(), str(layers), str(seed), str(passes), *texts]
    mark = hashlib.blake2b("\0".join(made_of).encode(), digest_size=8).hexdigest()
    folder = cache / f"{base.name}-{layers}-layers-{mark}"
    if folder.exists():
        return folder
    with cache_lock(cache):
        if folder.exists():
            return folder
        building = cache / f".{folder.name}.building"
        shutil.rmtree(building, ignore_errors=True)
        student = select_layers(teacher, layers, building)
        torch.manual_seed(seed)
        train_student(student, texts, encode(teacher, texts), passes=passes, random=random, advance=advance)
        shutil.rmtree(building)
        student.backbone.save_pretrained(building)  # type: ignore[operator]
        student.tokenizer.save_pretrained(building)
        os.replace(building, folder)
    return folder


def select_layers(teacher: TextEncoder, layers: int, folder: Path) -> TextEncoder:
    """The teacher with so many of its layers, the first and the last among them; goes through `folder`.

    Raises `ConfigError` where the teacher has fewer.
    """
    backbone: Any = teacher.backbone
    deep = int(backbone.config.num_hidden_layers)
    if layers > deep:
        raise ConfigError(f"model.layers_kept is {layers}, but the base model has {deep} layers")
    kept = np.linspace(0, deep - 1, layers).round().astype(int).tolist() if layers > 1 else [deep - 1]
    parent, name, stack = next(
        (parent, name, child)
        for parent in backbone.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == deep
    )
    kinds = getattr(backbone.config, "layer_types", None)
    setattr(parent, name, nn.ModuleList([stack[row] for row in kept]))
    backbone.config.num_hidden_layers = layers
    if kinds is not None:
        backbone.config.layer_types = [kinds[row] for row in kept]
    # Layers know their number: reading them again numbers them afresh.
    backbone.save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    setattr(parent, name, stack)
    backbone.config.num_hidden_layers = deep
    if kinds is not None:
        backbone.config.layer_types = kinds
    settings = {name: value for name, value in teacher.settings.items() if name != "precision"}
    return TextEncoder.load(folder, **settings, precision=teacher.precision)


def train_student(
    student: TextEncoder,
    texts: Sequence[str],
    vectors: np.ndarray[Any, np.dtype[np.float32]],
    *,
    passes: int,
    random: np.random.Generator,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Train the student to give each text its vector (texts, dim): the loss is one less their cosine."""
    tokens = student.tokens(texts)
    wanted = torch.from_numpy(vectors)
    steps = passes * -(-len(texts) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=max(steps, 2), pct_start=0.1)
    # Dropout would only blur what is to be copied.
    student.eval()
    for _ in range(passes):
        for rows in np.array_split(random.permutation(len(texts)), steps // passes):
            made = student.encode_groups(student.pad_groups([tokens[row] for row in rows], GROUPS))
            loss = (1 - (made * wanted[rows]).sum(1)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            advance(len(rows))
