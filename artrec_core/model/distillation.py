"""Distillation: a small text tower, made of some layers of a large one, learns to give the same vectors.

As in DistilBERT (Sanh et al. 2019), the student starts from evenly spaced layers of the teacher.
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from artrec_core.errors import ConfigError
from artrec_core.files import write_folder_atomically
from artrec_core.model.base_models import cache_lock
from artrec_core.model.text_encoder import TextEncoder, encode

BATCH_SIZE = 64
GROUPS = 4
LEARNING_RATE = 3e-4
EPOCHS = 4
# So many documents are enough to learn from. A catalogue of a hundred thousand would take hours on a laptop.
MAX_DOCUMENTS = 20_000


def distill(
    base: Path,
    documents: Sequence[str],
    layers: int,
    cache: Path,
    *,
    max_tokens: int = 64,
    seed: int = 0,
    epochs: int = EPOCHS,
    advance: Callable[[int], None] = lambda count: None,
) -> Path:
    """Distil a base model into some of its layers; the result is cached by base model, documents and settings.

    Parameters
    ----------
    base
        The folder of the base model.
    documents
        The texts to learn from; at most `MAX_DOCUMENTS` of them are used.
    layers
        Number of layers of the student.
    cache
        The folder of cached models.
    max_tokens
        Longer texts are cut.
    seed
        Seed of the training.
    epochs
        How often training reads the documents.
    advance
        Called with the number of documents in each step, to show progress.

    Returns
    -------
    Path
        The student's folder, in the cache.
    """
    texts = sorted(set(documents))
    random = np.random.default_rng(seed)
    if len(texts) > MAX_DOCUMENTS:
        texts = [texts[row] for row in np.sort(random.choice(len(texts), MAX_DOCUMENTS, replace=False))]
    teacher = TextEncoder.load(base, max_tokens=max_tokens, precision="auto")
    inputs = [teacher.digest(), str(layers), str(seed), str(epochs), *texts]
    digest = hashlib.blake2b("\0".join(inputs).encode(), digest_size=8).hexdigest()
    folder = cache / f"{base.name}-{layers}-layers-{digest}"
    if folder.exists():
        return folder
    with cache_lock(cache):
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            student = select_layers(teacher, layers, Path(scratch))
            torch.manual_seed(seed)
            train_student(student, texts, encode(teacher, texts), epochs=epochs, random=random, advance=advance)
        with write_folder_atomically(folder, alone=True) as building:
            student.backbone.save_pretrained(building)  # type: ignore[operator]
            student.tokenizer.save_pretrained(building)
    return folder


def select_layers(teacher: TextEncoder, layers: int, folder: Path) -> TextEncoder:
    """A new encoder with some of the teacher's layers: evenly spaced, with the first and the last one.

    Parameters
    ----------
    teacher
        It has all its layers again afterwards.
    layers
        Number of layers.
    folder
        The new encoder is saved here and loaded from here.

    Raises
    ------
    ConfigError
        If the teacher has fewer layers.
    """
    backbone: Any = teacher.backbone
    depth = int(backbone.config.num_hidden_layers)
    if layers > depth:
        raise ConfigError(f"model.layers_kept is {layers}, but the base model has {depth} layers")
    rows = np.linspace(0, depth - 1, layers).round().astype(int).tolist() if layers > 1 else [depth - 1]
    parent, name, stack = next(
        (parent, name, child)
        for parent in backbone.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == depth
    )
    kinds = getattr(backbone.config, "layer_types", None)
    setattr(parent, name, nn.ModuleList([stack[row] for row in rows]))
    backbone.config.num_hidden_layers = layers
    if kinds is not None:
        backbone.config.layer_types = [kinds[row] for row in rows]
    # Each layer stores its number. Loading the saved layers numbers them anew.
    backbone.save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    setattr(parent, name, stack)
    backbone.config.num_hidden_layers = depth
    if kinds is not None:
        backbone.config.layer_types = kinds
    settings = {name: value for name, value in teacher.settings.items() if name != "precision"}
    return TextEncoder.load(folder, **settings, precision=teacher.precision)


def train_student(
    student: TextEncoder,
    texts: Sequence[str],
    vectors: np.ndarray[Any, np.dtype[np.float32]],
    *,
    epochs: int,
    random: np.random.Generator,
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Train the student to give each text the teacher's vector; the loss is 1 - cosine.

    Parameters
    ----------
    student
        It is trained in place.
    texts
        The texts to learn from.
    vectors
        (texts, dim) the teacher's vectors.
    epochs
        How often training reads the texts.
    random
        Decides the order of the texts.
    advance
        Called with the number of texts in each step.
    """
    tokens = student.tokens(texts)
    targets = torch.from_numpy(vectors)
    steps = epochs * -(-len(texts) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=max(steps, 2), pct_start=0.1)
    # No dropout: the student copies exact vectors.
    student.eval()
    for _ in range(epochs):
        for rows in np.array_split(random.permutation(len(texts)), steps // epochs):
            student_vectors = student.encode_groups(student.pad_groups([tokens[row] for row in rows], GROUPS))
            loss = (1 - (student_vectors * targets[rows]).sum(1)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            advance(len(rows))
