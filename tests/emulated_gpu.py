"""A CUDA device that is not there: the numbers are the CPU's, but each tensor knows where it is.

Mixing devices raises as CUDA does. Each copy between them and each wait for a value is noted, with
the line of the project that asked for it. There are no kernels, streams or autocast of CUDA's.
"""

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import torch
from torch.overrides import TorchFunctionMode

from helpers.train.side_thread import SideThread

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
GIB = 2**30
WAITS = {"item", "tolist", "nonzero", "unique", "_unique2", "is_nonzero", "equal", "allclose"}
WAITS |= {"masked_select", "__bool__", "__float__", "__int__", "__index__", "__format__"}
WAITS |= {"__contains__", "__repr__"}
MAY_MIX = {"__getitem__", "__setitem__", "copy_", "set_", "__set__", "__get__", "backward"}
MAY_MIX |= {"_has_compatible_shallow_copy_type", "__deepcopy__", "index_put_"}
OF_A_TENSOR = {"grad", "data", "T", "mT", "H", "real", "imag"}  # attributes that are tensors


class GpuTensor(torch.Tensor):
    """A tensor that would be on the GPU."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), options=None):
        return _call(function, arguments, options or {})


class _Mode(TorchFunctionMode):
    def __torch_function__(self, function, types, arguments=(), options=None):
        return _call(function, arguments, options or {})


class Notes:
    """Counts waits and copies by kind, line of helpers/ and thread."""

    def __init__(self):
        self.counts: Counter[tuple[str, str, str]] = Counter()  # kind, line, thread

    def add(self, kind: str) -> None:
        """Note one wait or copy."""
        thread = threading.current_thread().name.split("_")[0]
        self.counts[kind, _line_of_the_project(), thread] += 1

    def of_training(self) -> Counter[tuple[str, str]]:
        """Kinds and lines of what the thread that trains has waited for."""
        found = Counter()
        for (kind, line, thread), count in self.counts.items():
            if thread == "MainThread" and not kind.startswith("no wait"):
                found[kind, line] += count
        return found


NOTES = Notes()


@contextlib.contextmanager
def emulated_gpu(capability: tuple[int, int] = (7, 5)) -> Iterator[Notes]:
    """All that says `cuda` is emulated, on this thread and on those beside training."""
    NOTES.counts.clear()
    start = SideThread.start

    def start_with_mode(thread, job, *arguments):
        def inside(*given):
            with _Mode():
                return job(*given)

        start(thread, inside, *arguments)

    autocast, scaler, fork_rng = torch.autocast, torch.amp.GradScaler, torch.random.fork_rng

    class CpuAutocast(autocast):
        def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
            super().__init__("cpu", dtype, enabled and dtype is not torch.float32, cache_enabled)

    changes = [
        (torch, "autocast", CpuAutocast),
        (torch.amp, "GradScaler", lambda device, **options: scaler("cpu", **options)),
        (torch.random, "fork_rng", lambda devices=None, **options: fork_rng([], **options)),
        (torch.cuda, "get_device_capability", lambda device=None: capability),
        (torch.cuda, "get_device_name", lambda device=None: "an emulated GPU"),
        (torch.cuda, "mem_get_info", lambda device=None: (15 * GIB, 15 * GIB)),
        (torch.Tensor, "pin_memory", _pinned),
        (torch.nn.Module, "to", _module_to),
        (torch.nn.Module, "cpu", lambda module: _move(module, to_gpu=False)),
        (SideThread, "start", start_with_mode),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    tf32 = torch.backends.cudnn.allow_tf32
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        with _Mode():
            yield NOTES
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        torch.backends.cudnn.allow_tf32 = tf32


def _call(function, arguments, options):
    """Do on the CPU what was asked for, note its waits, and say where the result would be."""
    name = getattr(function, "__name__", str(function))
    attribute = getattr(getattr(function, "__self__", None), "__name__", "")
    with torch._C.DisableTorchFunctionSubclass():
        if name == "__get__" and attribute in ("device", "is_cuda", "is_cpu"):
            there = isinstance(arguments[0], GpuTensor)
            return {"device": CUDA if there else CPU, "is_cuda": there, "is_cpu": not there}[
                attribute
            ]
        tensors = _tensors_in((arguments, options))
        there = [one for one in tensors if isinstance(one, GpuTensor)]
        here = [one for one in tensors if not isinstance(one, GpuTensor)]
        if there and name == "__deepcopy__":
            return _deep_copy(*arguments)
        if name in ("to", "cpu", "cuda", "type_as"):
            return _copied(name, arguments, options)
        _check_places(name, arguments, there, here)
        made_there = _is_cuda(options["device"]) if options.get("device") is not None else None
        generator = options.get("generator")
        if isinstance(generator, torch.Generator) and (
            made_there or (there and made_there is None)
        ):
            raise RuntimeError(
                f"Expected a 'cuda' device type for generator but found 'cpu' in {name}"
            )
        if made_there:
            options = options | {"device": CPU}
            if name in ("tensor", "as_tensor"):
                NOTES.add("wait: copy to the GPU")
        result = function(*arguments, **options)
        if name == "__get__" and attribute not in OF_A_TENSOR:
            return result
        if name == "copy_":
            return arguments[0]
        if made_there is not None:
            return _as_gpu(result) if made_there else _as_cpu(result)
        of_a_cpu_tensor = name == "__getitem__" and not isinstance(arguments[0], GpuTensor)
        return _as_gpu(result) if there and not of_a_cpu_tensor else result


def _check_places(name: str, arguments, there, here) -> None:
    """Raise where CUDA would, for tensors on the GPU and here, and note what it waits for."""
    if there and name in ("numpy", "__array__"):
        raise TypeError("can't convert cuda:0 device type tensor to numpy: use Tensor.cpu()")
    if there and name in WAITS:
        NOTES.add(f"wait: {name}")
    if name in ("__getitem__", "__setitem__"):
        _check_index(*arguments[:2])
    if there and name not in MAY_MIX and any(one.dim() for one in here):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu! in {name} at {_line_of_the_project()}"
        )
    if name == "copy_" and there and here:
        to_gpu = isinstance(arguments[0], GpuTensor)
        NOTES.add("wait: copy_ to the GPU" if to_gpu else "wait: copy_ to the CPU")


def _check_index(x, index) -> None:
    indices = _tensors_in(index)
    if not isinstance(x, GpuTensor):
        if any(isinstance(one, GpuTensor) and one.dim() for one in indices):
            raise RuntimeError(
                "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
            )
        return
    for one in indices:
        if one.dtype in (torch.bool, torch.uint8):
            NOTES.add("wait: boolean index")
        elif isinstance(one, GpuTensor) != bool(one.dim()):
            NOTES.add("wait: index of another device")


def _copied(name: str, arguments, options):
    """`Tensor.to` and its relatives."""
    x, rest = arguments[0], list(arguments[1:])
    was_there = isinstance(x, GpuTensor)
    target = options.get("device", rest[0] if rest else None)
    to_gpu = was_there
    if name in ("cpu", "cuda"):
        to_gpu = name == "cuda"
    elif isinstance(target, torch.Tensor):
        to_gpu = isinstance(target, GpuTensor)
    elif isinstance(target, torch.device | str | int) and not isinstance(target, torch.dtype):
        to_gpu = _is_cuda(target)
        rest, options = rest[1:], {key: v for key, v in options.items() if key != "device"}
    if was_there and not to_gpu:
        NOTES.add("wait: copy to the CPU")
    if to_gpu and not was_there:
        free = options.get("non_blocking") and getattr(x, "is_pinned_here", False)
        NOTES.add("no wait: copy to the GPU" if free else "wait: copy to the GPU")
    result = x.as_subclass(torch.Tensor) if was_there else x
    if name in ("to", "type_as") and (rest or options):
        result = getattr(torch.Tensor, name)(result, *_as_cpu(rest), **_as_cpu(options))
    if was_there != to_gpu and result.data_ptr() == x.data_ptr():
        result = result.clone(memory_format=torch.preserve_format)
    return _as_gpu(result) if to_gpu else _as_cpu(result)


def _deep_copy(x, memo):
    if id(x) not in memo:
        copy = x.as_subclass(torch.Tensor).detach().clone(memory_format=torch.preserve_format)
        copy = copy.as_subclass(GpuTensor).requires_grad_(x.requires_grad)
        if getattr(x, "_is_param", False):
            copy._is_param = True
        memo[id(x)] = copy
    return memo[id(x)]


def _pinned(x):
    x = x.view_as(x)
    x.is_pinned_here = True
    return x


def _module_to(module, *arguments, **options):
    target = options.get("device", arguments[0] if arguments else None)
    is_device = isinstance(target, str | int | torch.device)
    return _move(module, _is_cuda(target) if is_device else None, options.get("memory_format"))


def _move(module, to_gpu: bool | None, memory_format=None):
    """Move a module's parameters and buffers; None: they stay where they are."""
    with torch._C.DisableTorchFunction():
        for part in module.modules():
            for kind in (part._parameters, part._buffers):
                for name, value in kind.items():
                    if value is not None:
                        kind[name] = _moved(value, to_gpu, memory_format, kind is part._parameters)
    return module


def _moved(value, to_gpu: bool | None, memory_format, is_parameter: bool):
    was_there = isinstance(value, GpuTensor)
    to_gpu = was_there if to_gpu is None else to_gpu
    if to_gpu == was_there and memory_format is None:
        return value
    if to_gpu != was_there:
        NOTES.add("wait: copy of a network")
    data = value.as_subclass(torch.Tensor).detach().clone(memory_format=torch.preserve_format)
    if memory_format is not None and data.dim() == 4:
        data = data.contiguous(memory_format=memory_format)
    if not is_parameter:
        return data.as_subclass(GpuTensor) if to_gpu else data
    if not to_gpu:
        return torch.nn.Parameter(data, value.requires_grad)
    moved = data.as_subclass(GpuTensor).requires_grad_(value.requires_grad)
    moved._is_param = True
    return moved


def _tensors_in(x) -> list[torch.Tensor]:
    if isinstance(x, torch.Tensor):
        return [x]
    values = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else ()
    return [tensor for value in values for tensor in _tensors_in(value)]


def _as_gpu(x):
    if isinstance(x, torch.Tensor):
        kept = isinstance(x, GpuTensor | torch.nn.Parameter)
        return x if kept else x.as_subclass(GpuTensor)
    return _mapped(x, _as_gpu)


def _as_cpu(x):
    if isinstance(x, GpuTensor):
        return x.as_subclass(torch.Tensor)
    return _mapped(x, _as_cpu)


def _mapped(x, function):
    if isinstance(x, dict):
        return {key: function(value) for key, value in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_make"):
        return x._make(function(value) for value in x)
    if isinstance(x, tuple) and type(x) is not tuple:  # torch's own, such as a size
        return type(x)([function(value) for value in x])
    return type(x)(function(value) for value in x) if isinstance(x, list | tuple) else x


def _is_cuda(device) -> bool:
    return isinstance(device, int) or torch.device(device).type == "cuda"


def _line_of_the_project() -> str:
    """The innermost line of helpers/ that is being executed."""
    frame = sys._getframe(2)
    while frame:
        path = frame.f_code.co_filename
        if "/helpers/" in path:
            return f"{path.split('/helpers/')[-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "a test"
