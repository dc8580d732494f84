import threading

import pytest
import torch

from artrec_core.model.cpu.threads import torch_thread_pool


def test_torch_uses_one_thread_in_each_of_the_threads_and_its_setting_returns():
    before = torch.get_num_threads()
    meeting = threading.Barrier(2, timeout=60)

    def report(number: int) -> tuple[int, int]:
        meeting.wait()  # both threads run at the same time
        return number, torch.get_num_threads()

    with torch_thread_pool(2) as pool:
        assert list(pool.map(report, range(2))) == [(0, 1), (1, 1)]
    assert torch.get_num_threads() == before


def test_the_setting_returns_after_an_error_too():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), torch_thread_pool(2) as pool:
        pool.submit(lambda: 1 // 0).result()
    assert torch.get_num_threads() == before
