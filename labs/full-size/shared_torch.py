"""What the training programs in PyTorch beside this file share."""

import signal
import sys

sys.modules.setdefault("tensorboard.compat.notf", sys)  # or it imports TensorFlow, for seconds

import torch
from shared import triangle
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare(args):
    """Set seed and precision; return the type of weights."""
    dtype = "float64" if args.precision == "float64" else "float32"
    torch.manual_seed(args.seed)
    torch.set_default_dtype(getattr(torch, dtype))
    return dtype


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
        self.clip = clip
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
            sampler=order,
            num_workers=self.args.workers,
            worker_init_fn=deaf,
            pin_memory=bool(self.args.workers) and DEVICE.type == "cuda",
            generator=torch.Generator(),  # or each start draws from what dropout draws from
        )
        self.board = SummaryWriter(self.run.folder, purge_step=self.run.step + 1)
        for step, batch in enumerate(loader, start=self.run.step + 1):
            loss = self.step(loss_of, batch)
            self.run.note(step, loss)
            if step % 10 == 0:
                self.board.add_scalar("loss", loss, step)
            if self.run.due():
                self.save()
                self.board.flush()
                self.run.leave_if_told()

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
        state = {name: part.state_dict() for name, part in self.parts.items()}
        state["drawn"] = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
        with self.run.writing("checkpoint.pt") as file:
            torch.save(state | {"progress": self.run.progress()}, file)

    def load(self, file):
        """Take over what `save` wrote."""
        state = torch.load(file, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        cpu, *cuda = state["drawn"]
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
        return state["progress"]

    def finish(self, name, value, per_step, unit, seconds, **more):
        """Write the trained weights, and how good they are."""
        with self.run.writing("model.pt") as file:
            torch.save(self.net.state_dict(), file)
        self.board.add_scalar(name, value, self.run.step)
        self.board.close()
        self.run.finish(DEVICE.type, per_step, unit, seconds, **{name: value}, **more)
