"""Several processes, one training: each holds a share of the batch, statistics and gradients are of the whole.

A process that was not started by torchrun is alone: every function then leaves what it is given as it is.
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
    """Join the processes that torchrun started, if it did, as soon as all of them are there."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo", timeout=LONGEST_WAIT
        )


def leave_processes() -> None:
    """Leave them again."""
    if n_processes() > 1:
        dist.destroy_process_group()


def n_processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes, prints and measures."""
    return n_processes() == 1 or dist.get_rank() == 0


def own_share(batch: Tensor) -> Tensor:
    """This process's rows of a batch that all know; their number must be divisible by that of the processes."""
    return batch if n_processes() == 1 else batch.chunk(n_processes())[dist.get_rank()]


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum over all processes, differentiable, twice too."""
    return x if n_processes() == 1 else all_reduce(x)


def gather_batches(share: Tensor) -> Tensor:
    """The rows of all processes, in order, (B, ...) to (n_processes · B, ...); differentiable."""
    if n_processes() == 1:
        return share
    own = torch.arange(n_processes(), device=share.device) == dist.get_rank()
    placed = torch.where(own.view(-1, *[1] * share.dim()), share, torch.zeros_like(share))
    return sum_over_processes(placed).flatten(0, 1)


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
    """What the first process says, in all of them: anything that can be pickled."""
    if n_processes() == 1:
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]


def true_in_all_processes(flag: bool) -> bool:
    """Whether it holds in every process."""
    if n_processes() == 1:
        return flag
    flags = [None] * n_processes()
    dist.all_gather_object(flags, flag)
    return all(flags)


def sync_batch_norms(network: nn.Module) -> None:
    """Let the batch norms of a network take their statistics from the batches of all processes."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.__class__ = SyncedBatchNorm2d


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, on any device (torch's SyncBatchNorm refuses a CPU)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same; in training all processes must call it together."""
        if not self.training or n_processes() == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            values, n = x.float(), n_processes() * x.numel() // x.shape[1]
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
