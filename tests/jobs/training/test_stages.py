"""The stages of a training while it runs, from the lines of its workers."""

from pathlib import Path
from typing import Any

from jobs.training.stages import LinesFile, stages_of

START = {"phase": "start", "at": 0.0}


def text_step(step: int, at: float, **more: Any) -> dict[str, Any]:
    epoch = (step - 1) // 20 + 1
    return {"phase": "text", "in_epoch": epoch, "epochs": 2, "step": step, "steps": 40, "loss": 2.345, "at": at} | more


def epoch(number: int, at: float, phase: str = "user", **more: Any) -> dict[str, Any]:
    return {"phase": phase, "epoch": number, "epochs": 12, "loss": 5.41, "at": at} | more


def texts(*lines: dict[str, Any]) -> list[str]:
    return [stage.text for stage in stages_of([START, *lines])]


def test_before_the_first_step_there_are_no_stages() -> None:
    assert texts({"phase": "text", "engine": "torch", "steps": 40, "at": 1.0}) == []


def test_the_text_tower_shows_epoch_step_loss_and_remaining_time() -> None:
    assert texts(text_step(10, 20.0)) == ["text tower epoch 1 of 2, step 10 of 40, loss 2.35"]
    stage_texts = texts(text_step(10, 20.0), text_step(25, 50.0))
    assert stage_texts == ["text tower epoch 2 of 2, step 25 of 40, loss 2.35, about 30 s left"]
    assert texts(text_step(39, 78.0), text_step(40, 80.0)) == ["text tower epoch 2 of 2, step 40 of 40, loss 2.35"]


def test_the_user_tower_shows_epoch_loss_validation_and_remaining_time() -> None:
    stage_texts = texts(epoch(1, 100.0, validation=0.1), epoch(7, 172.0, validation=0.2012))
    assert stage_texts == ["user tower epoch 7 of 12, loss 5.41, validation NDCG@10 .201, about 1 min left"]
    assert texts(epoch(1, 100.0)) == ["user tower epoch 1 of 12, loss 5.41"]  # nobody is held out


def test_a_long_epoch_shows_its_steps_and_the_metrics_of_the_epoch_before() -> None:
    step = {"phase": "user", "in_epoch": 3, "epochs": 12, "step": 30, "steps": 120, "at": 1350.0}
    stage_texts = texts(epoch(1, 600.0, validation=0.1), epoch(2, 1200.0, validation=0.11), step)
    assert stage_texts == [
        "user tower epoch 3 of 12, step 30 of 120, loss 5.41, validation NDCG@10 .110, about 1.6 h left"
    ]


def test_each_stage_is_shown_as_it_was_at_its_last_line() -> None:
    encoded = {"phase": "encode", "text": 3000, "texts": 36000, "at": 90.0}
    lines = [text_step(40, 80.0), encoded, epoch(5, 100.0, validation=0.2), epoch(2, 120.0, "refit", epochs=2)]
    assert texts(*lines) == [
        "text tower epoch 2 of 2, step 40 of 40, loss 2.35",
        "text vectors 3,000 of 36,000",
        "user tower epoch 5 of 12, loss 5.41, validation NDCG@10 .200",
        "user tower on all events epoch 2 of 2, loss 5.41",
    ]


def test_of_a_training_that_started_again_only_the_latest_start_counts() -> None:
    (stage,) = stages_of([START, text_step(39, 78.0), START, text_step(21, 100.0), text_step(22, 102.0)])
    assert stage.text == "text tower epoch 2 of 2, step 22 of 40, loss 2.35, about 40 s left"


def test_a_line_that_is_half_written_is_read_when_it_is_complete(tmp_path: Path) -> None:
    file = LinesFile(tmp_path / "metrics.jsonl")
    assert file.read() == []
    file.path.write_text('{"phase": "start"}\n{"phase"')
    assert file.read() == [{"phase": "start"}]
    file.path.write_text('{"phase": "start"}\n{"phase": "text"}\n')
    assert file.read() == [{"phase": "start"}, {"phase": "text"}]
