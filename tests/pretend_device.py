"""A pretended "cuda" for CPU builds of PyTorch: imported before a notebook's code, it is a GPU.

A tensor on it holds a CPU tensor that does the work. To Python it is on "cuda:0"; to PyTorch's C++
it is on the device PrivateUse1, which any program may define. So results are the CPU's, to the last
bit, and code raises where it would on CUDA: an operation meets tensors of both sides, ``.numpy()``
without ``.cpu()``, lengths on the device, and the like.

Limits: Linux, and the release of PyTorch named below, since it reaches into private parts of that
release; anywhere else, importing it raises ImportError. Not pretended are a GPU's arithmetic, its
memory and streams, cuDNN beyond one rule, and several GPUs. A capture has guards of its own for
these tensors. Captured by AOTAutograd, a function runs eagerly, and so do loops and branches that
are made for captures.
`torch.cuda.get_device_properties` raises.
"""

import ctypes
import sys
from collections import Counter
from functools import partial

import torch
import torch._dynamo  # now: it looks at functions that are replaced below
from torch.optim.optimizer import _foreach_supported_types as optimizer_types
from torch.utils import _foreach_utils
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

RELEASE = "2.13"

if sys.platform != "linux" or not torch.__version__.startswith(f"{RELEASE}."):
    raise ImportError(
        f"the pretended device is made for Linux and torch {RELEASE}; here is {sys.platform} "
        f"and torch {torch.__version__}"
    )
if torch.version.cuda or torch.version.hip:
    raise ImportError("the pretended device needs PyTorch's CPU build")

aten = torch.ops.aten
CUDA = torch.device("cuda:0")
NAMES = (CUDA, torch.device("cuda"), "cuda", "cuda:0")
INDEXING = {
    *("index", "index_put", "index_put_", "_index_put_impl_"),
    *("_unsafe_index", "_unsafe_index_put"),
}
TAKES_SCALARS = {*INDEXING, "fill_", "index_fill", "index_fill_"}
"""Operations that take a CPU tensor of no dimension, beside all that work element by element."""
PACK = "_pack_padded_sequence"
done = Counter()
"""How often each operation was done on the device."""

# --- tensors -----------------------------------------------------------------------------------


class DeviceTensor(torch.Tensor):
    """A tensor on the pretended device; `inner`, on the CPU, does the work."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def __new__(cls, inner):
        place = () if inner.is_sparse else (inner.stride(), inner.storage_offset())
        self = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, *place, dtype=inner.dtype, layout=inner.layout, device="pretend:0"
        )
        self.inner = inner
        return self

    # By these two, `torch.compile` captures a tensor on the device as it does any other.
    def __tensor_flatten__(self):
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner, *_):
        return DeviceTensor(inner["inner"])

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        return execute(op, *args, **(kwargs or {}))

    def cuda(self, *_, **__):
        return self

    def to(self, *args, **kwargs):
        # C++ does not know that "cuda" is where this tensor is.
        args, kwargs = tree_map(
            lambda a: "pretend:0" if not torch.is_tensor(a) and a in NAMES else a, (args, kwargs)
        )
        return super().to(*args, **kwargs)

    def numpy(self, *, force=False):
        if not force:
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the "
                "tensor to host memory first."
            )
        return self.inner.numpy(force=True)

    def tolist(self):
        return self.inner.tolist()

    def __format__(self, spec):
        return format(self.item() if self.dim() == 0 else repr(self), spec)

    def __repr__(self, **_):
        grad = ", requires_grad=True" if self.requires_grad else ""
        if self.grad_fn:
            grad = f", grad_fn=<{self.grad_fn.name()}>"
        return f"{repr(self.inner)[:-1]}, device='cuda:0'{grad})"

    def __reduce_ex__(self, protocol):
        self.inner.untyped_storage().pretend = True  # so that `torch.save` notes "cuda:0"
        plain = self.inner.detach()
        if isinstance(self, torch.nn.Parameter):
            plain = torch.nn.Parameter(plain, False)
        return plain.requires_grad_(self.requires_grad).__reduce_ex__(protocol)


def ours(x):
    return isinstance(x, DeviceTensor)


def tensors(values):
    """Return the tensors among some arguments, and in lists of them."""
    found = []
    for value in values:
        if isinstance(value, (list, tuple)):
            found += tensors(value)
        elif torch.is_tensor(value):
            found.append(value)
    return found


# --- operations --------------------------------------------------------------------------------


def execute(op, *args, **kwargs):
    """Run any operation, on the tensors inside."""
    name, where = op.overloadpacket.__name__, kwargs.get("device")
    found = tensors((*args, *kwargs.values()))
    wrapped = {id(t.inner): t for t in found if ours(t)}
    refuse(op, name, args, found)
    here = where.type in ("cuda", "pretend") if where else bool(wrapped)
    done[name] += here
    if where and here:
        kwargs["device"] = "cpu"
    args, kwargs = tree_map(lambda x: x.inner if ours(x) else x, (args, kwargs))
    result = op(*args, **kwargs)
    for t in wrapped.values():
        changed = not t.is_sparse and (t.shape, t.stride()) != (t.inner.shape, t.inner.stride())
        if changed:  # resized, squeezed, or set in place
            get_data.__set__(t, DeviceTensor(t.inner))

    def wrap(x):
        if not torch.is_tensor(x) or not here:
            return x
        return wrapped.get(id(x)) if id(x) in wrapped else DeviceTensor(x)

    if name == PACK:  # the batches' sizes stay on the CPU
        return wrap(result[0]), result[1]
    return tree_map(wrap, result)


def refuse(op, name, args, found):
    """Raise where CUDA would, for tensors that do not belong together."""
    plain = [t for t in found if not ours(t)]
    if name == PACK and ours(args[1]):
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got 1D cuda:0 Long tensor"
        )
    if not plain or len(plain) == len(found) or name in ("copy_", "_to_copy"):
        return
    if name in INDEXING and not ours(args[0]):
        raise RuntimeError(
            "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
        )
    # A CPU tensor may be an index, lengths, or a number, if it is not written to.
    free = [id(t) for t in tensors(args[1:2])] if name in INDEXING or name == PACK else []
    written = [
        id(t)
        for asked, given in zip(op._schema.arguments, args, strict=False)
        if asked.alias_info and asked.alias_info.is_write
        for t in tensors([given])
    ]
    scalars = torch.Tag.pointwise in op.tags or name in TAKES_SCALARS
    for t in plain:
        number = scalars and t.dim() == 0 and id(t) not in written
        if id(t) not in free and not number:
            mixed(op, t)


def mixed(op, tensor):
    raise RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 "
        f"and cpu! ({op}: a tensor of shape {tuple(tensor.shape)} is on the CPU)"
    )


def recurrent(op, *args):
    """Run a recurrent layer whole, on the CPU: CUDA's kernels for its parts are not here."""
    for t in tensors(args):
        if t.is_floating_point() and t.device.type == "cpu":
            mixed(op, t)
    inside = tree_map(lambda x: x.cpu() if torch.is_tensor(x) else x, args)
    result = tree_map(lambda x: x.to("cuda"), op(*inside))
    flags = [a for a in args if isinstance(a, bool)]  # biases, training, …; a cell has none
    if flags and not flags[1] and result[0].requires_grad:
        result[0].register_hook(refuse_backward)
    return result


def refuse_backward(_):
    raise RuntimeError("cudnn RNN backward can only be called in training mode")


# --- moving and keeping ------------------------------------------------------------------------

get_data = torch._C.TensorBase.data
rebuild_tensor = torch._utils._rebuild_tensor
shallow_copy = torch._has_compatible_shallow_copy_type


def set_data(self, new):
    """Set ``.data``, also across devices, as `Module.to` does."""
    if ours(self) == ours(new):
        get_data.__set__(self, new)
        if ours(new):
            self.inner = new.inner
        return
    grad, self.grad = self.grad, None
    if isinstance(self, torch.nn.Parameter):
        made = torch.nn.Parameter(new.detach(), self.requires_grad)
    else:
        made = new.detach().requires_grad_(self.requires_grad)
    torch.utils.swap_tensors(self, made)
    self.grad = None if grad is None else grad.to(new.device)


def location(storage):
    """Say for `torch.save` where a storage is."""
    return "cuda:0" if hasattr(storage, "pretend") else None


def restore(storage, location):
    """Take a storage of "cuda:0", for `torch.load`."""
    if not location.startswith("cuda"):
        return None
    storage.pretend = True
    return storage


def rebuild(storage, *place):
    made = rebuild_tensor(storage, *place)
    return DeviceTensor(made) if hasattr(storage._untyped_storage, "pretend") else made


# --- captures ----------------------------------------------------------------------------------

compiled = torch.compile


def capture(model=None, **options):
    """Compile; but AOTAutograd cannot take loops over these tensors, and leaves all as it is."""
    return model if options.get("backend") == "aot_eager" else compiled(model, **options)


def while_loop(condition, body, carried):
    while condition(*carried):
        carried = body(*carried)
    return carried


def cond(question, yes, no, operands):
    return (yes if question else no)(*operands)


# --- PyTorch is told ---------------------------------------------------------------------------


class Guard(torch._C._acc.DeviceGuard):
    """Its streams go to CUDA's guard (see `register`), which needs no Python."""

    def type_(self):
        return torch._C._autograd.DeviceType.CUDA


class Generator(torch.Generator):
    """On any device it draws the CPU's numbers."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu")


def register():
    """Make C++ know the device: its guard, its operations, its recurrent layers."""
    _setup_privateuseone_for_python_backend("pretend", device_guard=Guard())
    # C++ asks a guard for each kind of device, in a table. CUDA's place gets that of the kind Lazy,
    # which counts no devices; for such a one, PyTorch puts a fake of its own. So "cuda" is known.
    c10 = ctypes.CDLL(f"{torch.__path__[0]}/lib/libc10.so")
    table = "_ZN3c104impl26device_guard_impl_registryE"
    guards = (ctypes.c_void_p * 21).in_dll(c10, table)
    cuda, lazy = 1, 17
    guards[cuda] = guards[lazy]
    torch._C._ensureCUDADeviceGuardSet()
    # `torch.tensor(…, device="cuda")` makes a CPU tensor and copies it, in the open.
    torch._C._set_only_lift_cpu_tensors(True)
    library = torch.library.Library("aten", "IMPL")
    for op in (
        aten.empty.memory_format,
        aten.empty_strided.default,
        aten._local_scalar_dense.default,
    ):
        for key in ("CUDA", "PrivateUse1"):
            library.impl(op, partial(execute, op), key)
    kinds = (aten.lstm, aten.gru, aten.rnn_tanh, aten.rnn_relu)
    layers = [op for kind in kinds for op in (kind.input, kind.data)]
    for op in (*layers, aten.lstm_cell.default, aten.gru_cell.default):
        library.impl(op, partial(recurrent, op), "AutogradPrivateUse1")
    return library


def replace():
    """Put what PyTorch's Python asks about the device in place."""
    torch._dynamo.trace_rules.add(__name__)  # `torch.compile` does not look in here
    torch.serialization.register_package(5, location, restore)
    for kinds in (optimizer_types, _foreach_utils._foreach_supported_types):
        kinds.append(DeviceTensor)
    torch._has_compatible_shallow_copy_type = lambda a, b: ours(a) or ours(b) or shallow_copy(a, b)
    torch.Tensor.data = property(get_data.__get__, set_data)
    torch._utils._rebuild_tensor = rebuild
    torch.Generator = Generator
    torch.compile, torch.while_loop, torch.cond = capture, while_loop, cond
    torch.backends.cudnn.is_acceptable = lambda tensor: False
    torch.accelerator.current_accelerator = lambda check_available=False: torch.device("cuda")
    answers = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "pretended",
        "get_device_capability": (7, 0),
        "get_rng_state": torch.zeros(16, dtype=torch.uint8),
        # These say nothing.
        "_lazy_init": None,
        "set_device": None,
        "synchronize": None,
        "manual_seed": None,
        "manual_seed_all": None,
        "empty_cache": None,
        "set_rng_state": None,
        "reset_peak_memory_stats": None,
        "max_memory_allocated": 0,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    torch.cuda.get_device_properties = refuse_properties


def refuse_properties(*_):
    raise RuntimeError("a pretended device has no properties")


library = register()  # what it holds is undone when it goes
replace()
