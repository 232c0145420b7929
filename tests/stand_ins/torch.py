"""Stands for PyTorch in notebooks that need a session and no network: it is there at once.

It has what `labkit.start` and `labkit.measure` ask for.
"""

from types import SimpleNamespace as _Names


def _do_nothing(*_, **__):
    pass


set_num_threads = manual_seed = use_deterministic_algorithms = _do_nothing
cuda = _Names(is_available=lambda: False)
backends = _Names(cudnn=_Names(allow_tf32=True))
