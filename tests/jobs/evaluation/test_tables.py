"""The printed tables of a small evaluation, with figures that are easy to find again."""

from io import StringIO
from typing import Any

from rich.console import Console

from jobs.evaluation.tables import KS, LOG_WIDTH, METRICS, print_evaluation


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}


def model_figures(value: float, segments: list[str], seeds: int = 1) -> dict[str, Any]:
    """A model whose accuracy is `value` everywhere."""
    accuracy = {f"{metric}@{k}": value for metric in METRICS for k in KS}
    seconds = {"fit": 2.5, "score": 1.0}
    run = {"seconds": seconds, "peak_memory_mb": 1234, "validation": value}
    figures = {
        "accuracy": dict.fromkeys(segments, accuracy),
        "beyond": {"everyone": {"coverage@10": 0.5, "novelty@10": 3.25, "diversity@10": 0.75}},
        "interval": {segment: {"ndcg@10": interval(value), "hr@10": interval(value)} for segment in segments},
        "runs": [run] * seeds,
    }
    return figures if seeds == 1 else {**figures, "sd": {"everyone": {"ndcg@10": 0.0123, "hr@10": 0.0123}}}


def difference(mean: float, segments: list[str]) -> dict[str, Any]:
    return {segment: {"ndcg@10": interval(mean), "hr@10": interval(mean)} for segment in segments}


def evaluation(segments: dict[str, int], *, ablations: dict[str, str] | None = None, seeds: int = 1) -> dict[str, Any]:
    """The full model at .3 and EASE at .2, with these counts of users by segment."""
    names = list(segments)
    full, other = model_figures(0.3, names, seeds), model_figures(0.2, names)
    hidden = segments.get("hidden_artworks", 0)
    other_name = "ease" if ablations is None else next(iter(ablations))
    return {
        "recipe": "small",
        "run_date": "2026-03-30",
        "protocol": "leave-one-out",
        "unseen_museums": [],
        "counts": {"asked": segments, "artworks": 1234, "hidden_artworks": hidden},
        "models": {"full": full, other_name: other},
        "differences": {f"full - {other_name}": difference(0.1, names)},
        "ablations": ablations or {},
    }


def printed(content: dict[str, Any]) -> str:
    console = Console(width=LOG_WIDTH, record=True, file=StringIO())
    print_evaluation(content, console)
    return console.export_text()


def row(text: str, title: str, model: str) -> list[str]:
    """The cells of a model's row in the table of this title."""
    lines = text[text.index(title) :].splitlines()
    return next(line for line in lines if line.startswith(f"{model} ")).split()


def test_the_title_counts_users_and_artworks() -> None:
    text = printed(evaluation({"everyone": 16}))
    assert "small 2026-03-30, leave one out: 16 users, 1,234 artworks ranked, seen artworks excluded" in text


def test_each_model_has_a_row_in_each_table() -> None:
    text = printed(evaluation({"everyone": 16}))
    assert row(text, "accuracy at 5, 10, 20", "full")[1:] == [".3000"] * 18
    details = row(text, "at 10, with 95 % bootstrap intervals over users", "ease")
    assert details[1:4] == ["0.2000", "[0.1900,", "0.2100]"]
    assert details[-7:] == ["0.500", "3.25", "0.750", "0.0", "2.5", "1.0", "1,234"]
    assert row(text, "paired by users", "full")[2:6] == ["ease", "+0.1000", "[+0.0900,", "+0.1100]"]


def test_a_segment_is_printed_unless_it_repeats_all_users() -> None:
    text = printed(evaluation({"everyone": 16, "people_with_few_events": 16, "unseen_artworks": 4}))
    assert "users with < 10 events: 16 users" in text
    assert "test artworks unseen in training: 4 users" in text
    assert row(text, "test artworks unseen", "ease")[-3:] == ["+0.1000", "[+0.0900,", "+0.1100]"]
    assert "unseen in training" not in printed(evaluation({"everyone": 16, "unseen_artworks": 16}))


def test_hidden_museums_are_named_in_the_title() -> None:
    content = evaluation({"everyone": 3, "hidden_artworks": 3}) | {"unseen_museums": ["north", "south"]}
    text = printed(content)
    assert "all 3 artworks of north and south hidden from training, and only they are tested" in text
    assert "hidden test artworks, ranked among all" not in text


def test_ablations_are_measured_from_the_full_model_and_never_as_minus_zero() -> None:
    content = evaluation({"everyone": 16}, ablations={"no-text": "without texts"})
    text = printed(content)
    assert "paired by users, 95 % intervals\n" not in text.split("each part's effect")[0]
    cells = row(text, "each part's effect", "no-text")
    assert cells[1:3] == ["without", "texts"]
    assert cells[-7:-1] == ["-0.1000", "[-0.1100,", "-0.0900]"] * 2
    content["differences"] = {"full - no-text": difference(0.0, ["everyone"])}
    assert "-0.0000" not in printed(content)


def test_the_standard_deviation_is_printed_for_several_seeds() -> None:
    text = printed(evaluation({"everyone": 16}, seeds=3))
    assert "0.3000 ± 0.0123 [0.2900, 0.3100]" in text
    assert "± is the standard deviation over 3 seeds" in text
    assert "±" not in printed(evaluation({"everyone": 16}))
