"""Train a small ResNet on pictures with PyTorch."""

import torch
import torch.nn.functional as F
from shared import Run, batches, pictures, pictures_parser, start, whole
from shared_torch import DEVICE, RANK, Trainer, distributed, groups, prepare, to_device
from torch import nn

from labkit import twins


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


@torch.inference_mode()
def accuracy(net, x, y, args, mixed):
    """Return the part of pictures that a network reads rightly."""
    net.eval()
    right = 0
    for batch in zip(x.split(1000), y.split(1000), strict=True):
        images, labels = to_device(*batch)
        with mixed:
            scores = net(images)
            if args.flips:
                scores = scores + net(images.flip(3))
        right += (scores.argmax(1) == labels).sum().item()
    return right / len(y)


def main():
    parser = pictures_parser(__doc__)
    parser.add_argument("--channels-last", action="store_true", help="as GPUs like pictures")
    parser.add_argument(
        "--workers", type=whole(0), default=0, help="that load pictures; 0: all lie on the device"
    )
    args = parser.parse_args()
    dtype = prepare(args)
    found = pictures(args.data, args.size, dtype)
    count = len(found.train[0])
    steps = args.steps or args.epochs * (count // args.batch)
    order = batches(count, args.batch, steps, args.seed)
    run = Run(args, steps, found.train, RANK)
    net = ResNet(found.train[0].shape[-1], args.width, len(found.classes)).to(DEVICE)
    twins.first_weights(net, args.seed)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    net.to(memory_format=layout)
    optimizer = torch.optim.SGD(
        groups(net),
        lr=args.rate,
        momentum=args.momentum,
        weight_decay=args.weight_decay,
        nesterov=args.momentum > 0,
    )
    trainer = Trainer(args, run, net, optimizer, warm=steps // 5)
    run.restore("checkpoint.pt", trainer.load)
    parallel = distributed(net)
    parallel = torch.compile(parallel) if args.compile else parallel

    def loss_of(x, y):
        x = augment(x) if args.augment else x
        scores = parallel(x.contiguous(memory_format=layout))
        return F.cross_entropy(scores, y, label_smoothing=args.smooth)

    x, y, x_test, y_test = map(torch.from_numpy, (*found.train, *found.test))
    x, x_test = (images.permute(0, 3, 1, 2).contiguous() for images in (x, x_test))
    trainer.fit(loss_of, order[run.step :], x, y)
    seconds = run.seconds
    right = accuracy(net, x_test, y_test, args, trainer.mixed)
    trainer.finish("accuracy", right, args.batch, "images", seconds)


if __name__ == "__main__":
    start(main)
