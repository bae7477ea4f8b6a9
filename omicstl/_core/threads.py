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


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS and OpenMP use one thread within the block.

    For many small products and trees: threads of several cores wait for each other there longer than they work. Boosting on 500
    lines takes ten times the CPU seconds with two threads on a busy machine. The limit is one of the whole process, as above.
    """
    with threadpool_limits(limits=1):
        yield
