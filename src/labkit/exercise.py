"""The reader's checks: what is still wrong with an answer, in one line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def check(name: str) -> Iterator[None]:
    """Judge an answer by the assertions in the block, and print one line.

    Starters raise `NotImplementedError`, so an untouched notebook runs to its end. An assertion's
    message is the hint that the reader gets; any other error is named with the line that raised
    it.

    Examples
    --------
    >>> def double(x):
    ...     return x + x
    >>> with check("double"):
    ...     assert double(3) == 6, "Twice 3 is 6."
    double: solved
    """
    try:
        yield
    except NotImplementedError as error:
        # A starter raises it bare; libraries say what they have not implemented.
        said = f"not yet. NotImplementedError: {error}" if error.args else "not attempted yet"
        print(f"{name}: {said}")
    except AssertionError as error:
        print(f"{name}: not yet. {error or 'An assertion failed.'}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f" in line {where.lineno}: {where.line}" if where.line else ""
        print(f"{name}: not yet. {type(error).__name__}: {error}{line}")
    else:
        print(f"{name}: solved")
