"""Threads of the linear algebra libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread within the block.

    Only for our own pools of workers, where a thread of ours per core is at work already: the limit is one of the whole
    process, so it must be left again with finished arrays.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield
