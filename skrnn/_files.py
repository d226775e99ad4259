"""Files that are complete, or do not exist."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skrnn._typing import FilePath


@contextmanager
def written_file(path: Path, *parts: bytes | memoryview) -> Iterator[None]:
    """Write a new file to the disk, for the body to rename; remove it on failure.

    Parameters
    ----------
    path : Path
        Of a file that does not exist yet.

    *parts : bytes-like
        Its content.
    """
    try:
        with open(path, "xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        yield
    except BaseException:  # also Ctrl-C; it is raised again
        path.unlink(missing_ok=True)
        raise


def replace_file(path: FilePath, content: bytes) -> None:
    """Write a file at once: after a failure, `path` is as it was.

    Parameters
    ----------
    path : str or path-like
        Where to. An existing file is replaced; a link stays a link.

    content : bytes

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path must be in a folder that exists. Got {str(path)!r}. Create the "
            "folder first."
        )
    partial = path.with_name(f".skrnn-{secrets.token_hex(8)}.tmp")
    with written_file(partial, content):
        os.replace(partial, path)
