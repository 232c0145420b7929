"""What the training programs in PyTorch beside this file share.

Started by torchrun, a program trains on several workers: each takes its part of every batch, and
gradients are averaged. One of them writes.
"""

import atexit
import os
import signal
import sys

sys.modules.setdefault("tensorboard.compat.notf", sys)  # or it imports TensorFlow, for seconds

import torch
import torch.distributed as dist
from shared import RefusedError, triangle
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter

RANK, COUNT, LOCAL = (
    int(os.environ.get(name, unset))
    for name, unset in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
)
DEVICE = torch.device("cuda", LOCAL) if torch.cuda.is_available() else torch.device("cpu")


def prepare(args):
    """Set seed and precision, and meet the other workers; return the type of weights."""
    dtype = "float64" if args.precision == "float64" else "float32"
    torch.manual_seed(args.seed + RANK)  # or all draw the same masks
    torch.set_default_dtype(getattr(torch, dtype))
    if args.batch % COUNT:
        raise RefusedError(f"--batch {args.batch} is not to be shared equally by {COUNT} workers")
    if COUNT > 1:
        dist.init_process_group("nccl" if DEVICE.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return dtype


class AllReduce(torch.autograd.Function):
    """The sum over the workers; its derivative is a sum over the workers, too."""

    @staticmethod
    def forward(ctx, x):
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, slope):
        return AllReduce.apply(slope.contiguous())


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Takes mean and variance over the batches of all workers; PyTorch's own does on a GPU."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        moments = torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))])
        mean, square = AllReduce.apply(moments) / COUNT
        variance = square - mean.square()
        with torch.no_grad():
            size = COUNT * x[:, 0].numel()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * size / (size - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt() * self.weight
        x = (x - mean[:, None, None]) * scale[:, None, None]
        return x + self.bias[:, None, None]


def distributed(net):
    """Return a network whose gradients are averaged over the workers; its weights are the same."""
    if COUNT == 1:
        return net
    if DEVICE.type == "cuda":
        return DistributedDataParallel(
            nn.SyncBatchNorm.convert_sync_batchnorm(net), device_ids=[LOCAL]
        )
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.__class__ = SyncBatchNorm2d
    return DistributedDataParallel(net)


def groups(net):
    """Return a network's parameters in two groups: what decays, and vectors, which do not."""
    trained = [p for p in net.parameters() if p.requires_grad]
    vectors = {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0}
    return [{"params": [p for p in trained if p.ndim > 1]}, vectors]


def to_device(*tensors):
    """Move tensors to the device, beside what it computes."""
    return (tensor.to(DEVICE, non_blocking=True) for tensor in tensors)


def deaf(_):
    """Keep a worker at work on SIGTERM, which often reaches all of a group; the program ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Trainer:
    """All that a training needs and changes."""

    def __init__(self, args, run, net, optimizer, warm, clip=None):
        self.args, self.run, self.net, self.optimizer = args, run, net, optimizer
        self.clip, self.board = clip, None
        steps, warm = run.steps, max(1, warm)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: triangle(min(step, steps - 1), steps, warm)
        )
        half = args.precision == "float16"
        self.scaler = torch.amp.GradScaler(DEVICE.type, enabled=half)
        self.mixed = torch.autocast(
            DEVICE.type,
            dtype=torch.float16 if half else torch.bfloat16,
            enabled=args.precision.endswith("16"),
        )
        self.parts = {
            "net": net,
            "optimizer": optimizer,
            "schedule": self.schedule,
            "scaler": self.scaler,
        }

    def fit(self, loss_of, order, *tensors):
        """Learn from batches; `order` says which examples are in each."""
        if not self.args.workers:
            tensors = to_device(*tensors)
        loader = DataLoader(
            TensorDataset(*tensors),
            batch_size=None,  # the sampler gives whole batches
            sampler=[batch[RANK::COUNT] for batch in order],
            num_workers=self.args.workers,
            worker_init_fn=deaf,
            pin_memory=bool(self.args.workers) and DEVICE.type == "cuda",
            generator=torch.Generator(),  # or each start draws from what dropout draws from
        )
        if RANK == 0:
            self.board = SummaryWriter(self.run.folder, purge_step=self.run.step + 1)
        for step, batch in enumerate(loader, start=self.run.step + 1):
            loss = self.step(loss_of, batch)
            if COUNT > 1:
                loss = self.agree(loss)
            self.run.note(step, loss)
            if step % 10 == 0 and self.board:
                self.board.add_scalar("loss", loss, step)
            if self.run.due():
                self.save()
                self.run.leave_if_told()

    def agree(self, loss):
        """Return the mean of the workers' losses; all stop in the same step if one is told to."""
        both = torch.stack([loss, torch.full_like(loss, self.run.told)])
        dist.all_reduce(both)
        self.run.agreed = bool(both[1])
        return both[0] / COUNT

    def step(self, loss_of, batch):
        """Learn from one batch; return its loss."""
        self.net.train()
        with self.mixed:
            loss = loss_of(*to_device(*batch))
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        if self.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss.detach()

    def save(self):
        """Write a checkpoint: all that the rest of the training depends on."""
        drawn = [[torch.get_rng_state(), *torch.cuda.get_rng_state_all()]] * COUNT
        if COUNT > 1:
            dist.all_gather_object(drawn, drawn[RANK])
        if RANK > 0:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()} | {"drawn": drawn}
        with self.run.writing("checkpoint.pt") as file:
            torch.save(state | {"progress": self.run.progress()}, file)
        self.board.flush()

    def load(self, file):
        """Take over what `save` wrote."""
        state = torch.load(file, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        cpu, *cuda = state["drawn"][RANK]
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
        return state["progress"]

    def finish(self, name, value, per_step, unit, seconds, **more):
        """Write the trained weights, and how good they are."""
        if RANK > 0:
            return
        with self.run.writing("model.pt") as file:
            torch.save(self.net.state_dict(), file)
        self.board.add_scalar(name, value, self.run.step)
        self.board.close()
        self.run.finish(DEVICE.type, per_step, unit, seconds, **{name: value}, **more)
