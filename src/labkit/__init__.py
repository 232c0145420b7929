"""labkit: what the labs of the course need and do not teach.

Notebooks import it as ``import labkit`` and begin with ``lab = labkit.start(chapter, framework)``.
Importing it imports no deep learning framework, and works where none is installed.
"""

from importlib.metadata import version

from labkit import (
    data,
    exercise,
    ladder,
    launch,
    marks,
    measure,
    panels,
    plot,
    record,
    rungs,
    twins,
)
from labkit.session import MissingFrameworkError, Session, start

__version__ = version("labkit")
__all__ = [
    "MissingFrameworkError",
    "Session",
    "data",
    "exercise",
    "ladder",
    "launch",
    "marks",
    "measure",
    "panels",
    "plot",
    "record",
    "rungs",
    "start",
    "twins",
]
