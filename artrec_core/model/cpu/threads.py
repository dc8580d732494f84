"""Threads that each have torch to themselves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def torch_thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads in each of which torch runs on one; torch's own setting is put back afterwards."""
    import torch

    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
