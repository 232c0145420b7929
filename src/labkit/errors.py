"""The one error that all of labkit's own derive from, and what several modules raise."""


class LabkitError(Exception):
    """Something a person can mend: the message says what is wrong, where, and the mend."""


class DataError(LabkitError, ValueError):
    """Data that cannot be used; the message names the file and the mend."""
