"""A pool of threads for torch work that is too small to share among threads."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def torch_thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of `threads` threads; torch uses one thread inside each. Afterwards torch's thread count is restored."""
    import torch  # top-K scoring uses this module, and needs torch for one of its engines only

    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
