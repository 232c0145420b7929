"""The one error that all of labkit's own derive from."""


class LabkitError(Exception):
    """Something a person can mend: the message says what is wrong, where, and the mend."""
