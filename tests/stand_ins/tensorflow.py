"""Stands for TensorFlow as the PyTorch beside it does."""

from types import SimpleNamespace as _Names


def _do_nothing(*_, **__):
    pass


config = _Names(
    list_physical_devices=lambda kind=None: [],
    set_visible_devices=_do_nothing,
    threading=_Names(
        set_intra_op_parallelism_threads=_do_nothing, set_inter_op_parallelism_threads=_do_nothing
    ),
    experimental=_Names(
        enable_op_determinism=_do_nothing, enable_tensor_float_32_execution=_do_nothing
    ),
)
