"""Files that are complete, or do not exist."""

import os
from contextlib import contextmanager


@contextmanager
def written_file(path, *parts):
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
