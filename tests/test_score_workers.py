"""The README's table of costs follows from the rates of one core."""

from tests.benchmarks.score_workers import CoreRates, cost_rows


def test_core_hours_and_minutes_follow_from_the_rates() -> None:
    # 10^13 pairs / 364M / 3600 = 7.6 h; 10^9 rows / 464,000 / 3600 = 0.6 h; 8.2 h on 16 cores are 31 min.
    rates = CoreRates(pairs={64: 364e6, 128: 239e6}, rows=464_000, audience_pairs=181e6)
    assert cost_rows(rates) == [
        ["lists, d = 64: pairs 7.6 h + rows 0.6 h", "8.2", "31 min", "7.7 min", "1.9 min"],
        ["lists, d = 128: pairs 11.6 h + rows 0.6 h", "12.2", "46 min", "11 min", "2.9 min"],
        ["audiences, d = 64: 15.3 h + 7.6 h", "23.0", "86 min", "22 min", "5.4 min"],
    ]
