"""Train a small ResNet on pictures with PyTorch."""

import sys

sys.modules.setdefault("tensorboard.compat.notf", sys)  # or it imports TensorFlow, for seconds

import torch
import torch.nn.functional as F
from shared import Run, batches, pictures, pictures_parser, start, triangle, whole
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter

from labkit import twins

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Block(nn.Sequential):
    """Convolution, batch normalization, ReLU."""

    def __init__(self, inputs, outputs):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.125),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Sequential):
    """Two blocks beside a way past them."""

    def __init__(self, width):
        super().__init__(Block(width, width), Block(width, width))

    def forward(self, x):
        return x + super().forward(x)


class ResNet(nn.Sequential):
    """The nine-layer ResNet of D. Page, "How to train your ResNet", 2018."""

    def __init__(self, channels, width, classes):
        super().__init__(
            Block(channels, width),
            Block(width, 2 * width),
            nn.MaxPool2d(2),
            Residual(2 * width),
            Block(2 * width, 4 * width),
            nn.MaxPool2d(2),
            Block(4 * width, 8 * width),
            nn.MaxPool2d(2),
            Residual(8 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            nn.Linear(8 * width, classes, bias=False),
        )

    def forward(self, x):
        return super().forward(x) / 8


def augment(x):
    """Move each picture by up to an eighth of its height, and mirror half of them."""
    count, _, height, width = x.shape
    far = height // 8
    moved = torch.randint(2 * far + 1, (2, count, 1), device=x.device)
    rows = moved[0] + torch.arange(height, device=x.device)
    columns = moved[1] + torch.arange(width, device=x.device)
    mirrored = torch.rand(count, 1, device=x.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    x = F.pad(x, (far, far, far, far), mode="reflect")
    x = x.take_along_dim(rows[:, None, :, None], 2)
    return x.take_along_dim(columns[:, None, None, :], 3)


class Trainer:
    """A network with all that its training needs and changes."""

    def __init__(self, args, net, steps):
        self.args, self.net = args, net
        self.layout = torch.channels_last if args.channels_last else torch.contiguous_format
        net.to(memory_format=self.layout)
        self.compiled = torch.compile(net) if args.compile else net
        kernels = [p for p in net.parameters() if p.ndim > 1]
        others = [p for p in net.parameters() if p.ndim == 1]
        self.optimizer = torch.optim.SGD(
            [{"params": kernels}, {"params": others, "weight_decay": 0}],
            lr=args.rate,
            momentum=args.momentum,
            weight_decay=args.weight_decay,
            nesterov=args.momentum > 0,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: triangle(min(step, steps - 1), steps, max(1, steps // 5))
        )
        self.scaler = torch.amp.GradScaler(DEVICE.type, enabled=args.precision == "float16")
        self.mixed = torch.autocast(
            DEVICE.type,
            dtype=torch.float16 if args.precision == "float16" else torch.bfloat16,
            enabled=args.precision.endswith("16"),
        )
        kept = (net, self.optimizer, self.schedule, self.scaler)
        self.parts = dict(zip(("net", "optimizer", "schedule", "scaler"), kept, strict=True))

    def step(self, x, y):
        """Learn from one batch; return its loss."""
        self.net.train()
        x, y = x.to(DEVICE, non_blocking=True), y.to(DEVICE, non_blocking=True)
        x = augment(x) if self.args.augment else x
        x = x.contiguous(memory_format=self.layout)
        with self.mixed:
            loss = F.cross_entropy(self.compiled(x), y, label_smoothing=self.args.smooth)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss.detach()

    @torch.inference_mode()
    def accuracy(self, x, y):
        """Return the part of pictures that the network reads rightly."""
        self.net.eval()
        right = 0
        for part, labels in zip(x.split(1000), y.split(1000), strict=True):
            part, labels = part.to(DEVICE), labels.to(DEVICE)
            with self.mixed:
                scores = self.net(part)
                if self.args.flips:
                    scores = scores + self.net(part.flip(3))
            right += (scores.argmax(1) == labels).sum().item()
        return right / len(y)

    def save(self, run):
        """Write all that the rest of the training depends on."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        state["drawn"] = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
        with run.writing("checkpoint.pt") as file:
            torch.save(state | {"progress": run.progress()}, file)

    def load(self, file):
        """Take over what `save` wrote."""
        state = torch.load(file, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        cpu, *cuda = state["drawn"]
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(cuda)
        return state["progress"]


def main():
    parser = pictures_parser(__doc__)
    parser.add_argument("--channels-last", action="store_true", help="as GPUs like it")
    parser.add_argument(
        "--workers", type=whole(0), default=0, help="that load pictures; 0: all lie on the device"
    )
    args = parser.parse_args()
    dtype = "float64" if args.precision == "float64" else "float32"
    found = pictures(args.data, args.size, dtype)
    steps = args.steps or args.epochs * (len(found.train[0]) // args.batch)
    order = batches(len(found.train[0]), args.batch, steps, args.seed)
    run = Run(args, steps, found.train)
    torch.manual_seed(args.seed)
    torch.set_default_dtype(getattr(torch, dtype))
    net = ResNet(found.train[0].shape[-1], args.width, len(found.classes)).to(DEVICE)
    twins.first_weights(net, args.seed)
    trainer = Trainer(args, net, steps)
    x, y, x_test, y_test = map(torch.from_numpy, (*found.train, *found.test))
    x, x_test = (images.permute(0, 3, 1, 2).contiguous() for images in (x, x_test))
    if not args.workers:
        x, y = x.to(DEVICE), y.to(DEVICE)
    run.restore("checkpoint.pt", trainer.load)
    loader = DataLoader(
        TensorDataset(x, y),
        batch_size=None,  # the sampler gives whole batches
        sampler=order[run.step :],
        num_workers=args.workers,
        generator=torch.Generator(),  # or it draws from what `augment` draws from
        pin_memory=bool(args.workers) and DEVICE.type == "cuda",
    )
    with SummaryWriter(run.folder, purge_step=run.step + 1) as board:
        for step, batch in enumerate(loader, start=run.step + 1):
            loss = trainer.step(*batch)
            run.note(step, loss)
            if step % 10 == 0:
                board.add_scalar("loss", loss, step)
            if run.due():
                trainer.save(run)
                run.leave_if_told()
        seconds = run.seconds
        accuracy = trainer.accuracy(x_test, y_test)
        board.add_scalar("accuracy", accuracy, run.step)
    with run.writing("model.pt") as part:
        torch.save(net.state_dict(), part)
    run.finish(DEVICE.type, args.batch, "images", seconds, accuracy=accuracy)


if __name__ == "__main__":
    start(main)
