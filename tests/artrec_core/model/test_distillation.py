from pathlib import Path

import numpy as np
import pytest
import torch

from artrec_core.errors import ConfigError
from artrec_core.model.distillation import distill, select_layers
from artrec_core.model.text_encoder import TextEncoder, encode
from tests.artrec_core.model.worlds import WORDS, tiny_model

TEXTS = [f"the {first} {second}" for first in WORDS for second in WORDS[:8]]


@pytest.mark.parametrize("kind", ["bert", "qwen3"])
def test_a_student_learns_its_teacher_s_vectors(kind: str, tmp_path: Path):
    base = tiny_model(tmp_path / "base", kind)
    teacher = TextEncoder.load(base)
    targets = encode(teacher, TEXTS)
    untrained = encode(select_layers(teacher, 1, tmp_path / "one layer"), TEXTS)
    assert np.array_equal(encode(teacher, TEXTS), targets)  # the teacher is as it was
    counts: list[int] = []
    folder = distill(base, TEXTS, 1, tmp_path, epochs=6, advance=counts.append)
    student = TextEncoder.load(folder)
    assert student.backbone.config.num_hidden_layers == 1  # type: ignore[union-attr]
    vectors = encode(student, TEXTS)
    assert 1 - (vectors * targets).sum(1).mean() < (1 - (untrained * targets).sum(1).mean()) / 3
    assert sum(counts) == 6 * len(set(TEXTS))
    assert distill(base, TEXTS, 1, tmp_path, epochs=6, advance=counts.append) == folder
    assert sum(counts) == 6 * len(set(TEXTS))
    assert distill(base, TEXTS[:-1], 1, tmp_path, epochs=1) != folder


def test_all_layers_are_the_teacher(tmp_path: Path):
    teacher = TextEncoder.load(tiny_model(tmp_path / "base"))
    whole = select_layers(teacher, 2, tmp_path / "whole")
    assert all(torch.equal(weight, whole.state_dict()[name]) for name, weight in teacher.state_dict().items())


def test_more_layers_than_there_are_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="2 layers"):
        distill(tiny_model(tmp_path / "base"), TEXTS, 3, tmp_path)
