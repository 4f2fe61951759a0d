"""Training in several processes as if in one: each has a share of the batch.

Statistics and gradients are those of the whole batch. A process that torchrun did not start is
alone: every function then returns what it is given.
"""

import datetime
import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

LONGEST_WAIT = datetime.timedelta(hours=1)  # others wait while the first process measures or draws


def join_processes() -> None:
    """Wait for the processes that torchrun started, if it did, and join them."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=LONGEST_WAIT)


def leave_processes() -> None:
    """End what `join_processes` began."""
    if n_processes() > 1:
        dist.destroy_process_group()


def n_processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes, prints and measures."""
    return n_processes() == 1 or dist.get_rank() == 0


def own_share(batch: Tensor) -> Tensor:
    """This process's rows of a batch (B, ...) that all know; B is a multiple of n_processes()."""
    return batch if n_processes() == 1 else batch.chunk(n_processes())[dist.get_rank()]


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of x over all processes, twice differentiable."""
    return x if n_processes() == 1 else all_reduce(x)


def gather_batches(share: Tensor) -> Tensor:
    """The rows of all processes in order, (B, ...) to (n_processes · B, ...); differentiable."""
    if n_processes() == 1:
        return share
    own = torch.arange(n_processes(), device=share.device) == dist.get_rank()
    placed = torch.where(own.view(-1, *[1] * share.dim()), share, torch.zeros_like(share))
    return sum_over_processes(placed).flatten(
        0, 1
    )  # (n_processes, B, ...) -> (n_processes · B, ...)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes, in one exchange."""
    if n_processes() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    means = flat.div_(n_processes()).split([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def broadcast_from_first(value):
    """The value that the first process has, in all of them; it must be picklable."""
    values = [value]
    if n_processes() > 1:
        dist.broadcast_object_list(values)
    return values[0]


def true_in_all_processes(flag: bool) -> bool:
    """Whether the flag is true in every process."""
    flags = [flag] * n_processes()
    if n_processes() > 1:
        dist.all_gather_object(flags, flag)
    return all(flags)


def sync_batch_norms(network: nn.Module) -> None:
    """Make each batch norm of a network a `SyncedBatchNorm2d`, in place."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.__class__ = SyncedBatchNorm2d


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes. Torch's SyncBatchNorm refuses a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; in training all processes must call it together."""
        if not self.training or n_processes() == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            values = x.float()
            n = n_processes() * x.numel() // x.shape[1]
            mean = sum_over_processes(values.sum(dim=(0, 2, 3))) / n  # (C,)
            centred = values - mean[:, None, None]
            variance = sum_over_processes(centred.square().sum(dim=(0, 2, 3))) / n
            normed = centred * torch.rsqrt(variance + self.eps)[:, None, None]
            if self.affine:
                normed = normed * self.weight[:, None, None] + self.bias[:, None, None]
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        return normed.to(x.dtype)
