"""Reading files that anybody may have written: names, links, sizes, JSON, parquet.

Whatever is wrong with a file is one error, `Unreadable`, which says it in a few words; who asked for the file says
which it was and what to do. Leaf module: imports nothing of the package; pyarrow while reading parquet.
"""

import json
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: Most bytes of a file that is read, by the ending of its name.
_LIMITS = {".json": 2**25, ".yaml": 2**20, ".yml": 2**20, ".html": 2**27, ".npz": 2**24, ".parquet": 2**31}
#: Most cells of a table (2 GB of numbers): a few bytes of a parquet file may stand for any number of rows.
CELL_LIMIT = 2**28
#: How deep JSON may be nested.
_MOST_LEVELS = 50
#: Most characters of a name that files are called by.
LONGEST_NAME = 100
#: A name is no path: nothing that separates folders, names a drive or a stream, or cannot be seen.
_NAME = re.compile(r"[^\W_](?:[\w.+ -]*[\w+-])?")
#: What reading a damaged file may raise besides pyarrow's own errors.
DAMAGED = (OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, NotImplementedError, MemoryError)


class Unreadable(Exception):
    """A file cannot be used; the message says why in a few words."""


def is_name(text: object) -> bool:
    """Whether a text can name a file or folder: letters, digits and ``. _ + -`` and spaces inside, no path."""
    return isinstance(text, str) and len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def limit_of(name: str) -> int:
    """Most bytes of a file of a name; of an ending that is not known as many as of a configuration."""
    return _LIMITS.get(os.path.splitext(name)[1].lower(), _LIMITS[".yaml"])


def read_bytes(path: Path, follow_links: bool = False) -> bytes:
    """The content of a regular file that is not larger than `limit_of` its name.

    Parameters
    ----------
    follow_links : whether the file may be a symbolic link

    Raises
    ------
    Unreadable
        Where it is a link, is no regular file, is too large, or cannot be read.
    """
    flags, limit = os.O_RDONLY, limit_of(path.name)
    # a pipe without a writer must not be waited for
    for name in ("O_BINARY", "O_NONBLOCK", "O_NOCTTY", *(() if follow_links else ("O_NOFOLLOW",))):
        flags |= getattr(os, name, 0)
    try:
        if not follow_links and path.is_symlink():
            raise Unreadable("it is a link, which is not followed")
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("it is no regular file")
            if status.st_size > limit:
                raise Unreadable(f"it has {status.st_size:,} bytes, and at most {limit:,} are read")
            return file.read(limit)
    except (OSError, ValueError, MemoryError) as error:
        raise Unreadable(reason(error)) from error


def parse_json(content: bytes) -> Any:
    """What standard JSON holds.

    Raises
    ------
    Unreadable
        Where it is none: JSON has no NaN and no infinity.
    """
    try:
        held = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {reason(error)}") from error
    level = [held]
    for _ in range(_MOST_LEVELS):
        level = [entry for each in level for entry in _entries(each)]
    if level:
        raise Unreadable(f"it is nested more than {_MOST_LEVELS} levels deep")
    return held


def _entries(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def open_parquet(content: bytes) -> "pq.ParquetFile":
    """A parquet file, whose pages are held against their checksums where they have any.

    Raises
    ------
    Unreadable
        Where it is no parquet, or stands for too large a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        cells = file.metadata.num_rows * max(len(file.schema_arrow), 1)
        if not 0 <= cells <= CELL_LIMIT:
            raise Unreadable(f"it stands for {cells:,} cells, and at most {CELL_LIMIT:,} are read")
        return file
    except (pa.ArrowException, *DAMAGED) as error:
        raise Unreadable(f"it is no parquet: {reason(error)}") from error


def read_parquet(file: "pq.ParquetFile", columns: Sequence[str] | None = None) -> "pa.Table":
    """Columns of a parquet file, by default all, as they are; checked to be whole.

    Raises
    ------
    Unreadable
        Where the file is damaged.
    """
    import pyarrow as pa

    try:
        table = file.read(columns=None if columns is None else [*columns], use_threads=False)
        table.validate(full=True)
        return table
    except (pa.ArrowException, *DAMAGED) as error:
        raise Unreadable(f"it is damaged: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0][:200] if lines and lines[0] else type(error).__name__
