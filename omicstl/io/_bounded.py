"""Files from strangers, decompressed in pieces and never beyond a stated size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import Any, BinaryIO

MAX_STREAM = 16 * 2**30  # decompressed bytes of one file
PIECE = 2**20
LZMA_MEMORY = 128 * 2**20
_BROKEN = (EOFError, OSError, lzma.LZMAError)  # gzip and zlib among them


class Bounded(io.RawIOBase):
    """What a plain, gzip, bzip2 or xz file holds, as a stream that ends with `ValueError` where it is damaged or too long."""

    def __init__(self, path: Path, most: int | None = None) -> None:
        super().__init__()
        self.most = MAX_STREAM if most is None else most
        self.seen = 0
        self.file = path.open("rb")
        self.inner: Any = _decompressed(self.file)

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with the next bytes; 0 at the end."""
        import zlib

        try:
            data = self.inner.read(min(len(buffer), PIECE))
        except (*_BROKEN, zlib.error) as error:
            msg = f"it is damaged or cut off ({type(error).__name__}: {error})"
            raise ValueError(msg) from None
        self.seen += len(data)
        if self.seen > self.most:
            msg = f"it holds more than {self.most:,} bytes when decompressed, the most that is read"
            raise ValueError(msg)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()


def _decompressed(file: BinaryIO) -> Any:
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file, mode="rb")
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if head.startswith(b"\xfd7zXZ\x00"):
        return _Xz(file)
    return file


class _Xz:
    """`lzma.LZMAFile` takes no limit of memory, and the file says how much it wants."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.inner = lzma.LZMADecompressor(memlimit=LZMA_MEMORY)

    def read(self, size: int) -> bytes:
        data = b""
        while not data and not self.inner.eof:
            more = self.file.read(PIECE) if self.inner.needs_input else b""
            if self.inner.needs_input and not more:
                msg = "the compressed data end early"
                raise EOFError(msg)
            data = self.inner.decompress(more, size)
        return data
