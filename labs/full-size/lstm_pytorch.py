"""Train LSTMs to write a text, one character after the other, with PyTorch."""

import math

import torch
import torch.nn.functional as F
from shared import Run, batches, begun, start, text, text_parser, whole
from shared_torch import DEVICE, RANK, Trainer, distributed, groups, prepare, to_device
from torch import nn


class Net(nn.Module):
    """An embedding, LSTMs one above the other, and a score for each character."""

    def __init__(self, letters, width, layers, dropout):
        super().__init__()
        self.table = nn.Embedding(letters, 32)
        sizes = [32] + [width] * layers
        # One by one: the layers of a single nn.LSTM share a name, and labkit carries one each.
        self.layers = nn.ModuleList(
            nn.LSTM(size, width, batch_first=True) for size in sizes[:layers]
        )
        for layer in self.layers:  # the second vector of biases would only double their rate
            nn.init.zeros_(layer.bias_hh_l0).requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, letters)

    def read(self, codes, states=None):
        """Return the scores at each place, and the states to read on with."""
        x, after = self.table(codes), []
        for layer, state in zip(self.layers, states or [None] * len(self.layers), strict=True):
            x, state = layer(x, state)
            x = self.dropout(x)
            after.append(state)
        return self.head(x), after

    def forward(self, codes):
        return self.read(codes)[0]


@torch.inference_mode()
def write(net, count, alphabet):
    """Write some characters, each drawn as the network expects it."""
    net.eval()
    code, states, written = torch.zeros(1, 1, dtype=torch.int64, device=DEVICE), None, ""
    for _ in range(count):
        scores, states = net.read(code, states)
        code = torch.multinomial(scores[0].softmax(1), 1)
        written += alphabet[code.item()]
    return written


def main():
    parser = text_parser(__doc__)
    parser.add_argument(
        "--workers", type=whole(0), default=0, help="that load pieces; 0: all lie on the device"
    )
    args = parser.parse_args()
    prepare(args)
    found = text(args.data, args.length)
    order = batches(len(found.train), args.batch, args.steps, args.seed)
    run = Run(args, args.steps, found.train, RANK)
    net = Net(len(found.alphabet), args.width, args.layers, args.dropout).to(DEVICE)
    begun(net, args)
    optimizer = torch.optim.AdamW(
        groups(net),
        lr=args.rate,
        betas=(0.875, 0.9921875),
        weight_decay=args.weight_decay,
        # The frameworks add it at different places: this small, float64 does not see it.
        eps=1e-30 if args.precision == "float64" else 1e-8,
    )
    trainer = Trainer(args, run, net, optimizer, warm=args.steps // 10, clip=args.clip)
    run.restore("checkpoint.pt", trainer.load)
    parallel = distributed(net)

    def loss_of(x, y, net=parallel):
        return F.cross_entropy(net(x).flatten(0, 1), y.flatten())

    @torch.inference_mode()
    def bits(pieces):
        """Return bits per character, each piece read from an empty state."""
        net.eval()
        total = 0
        for part in pieces.split(100):
            with trainer.mixed:
                total += len(part) * loss_of(*to_device(part[:, :-1], part[:, 1:]), net).item()
        return total / len(pieces) / math.log(2)

    pieces = torch.from_numpy(found.train)
    trainer.fit(loss_of, order[run.step :], pieces[:, :-1], pieces[:, 1:])
    seconds = run.seconds
    trainer.finish(
        "bits_per_character",
        bits(torch.from_numpy(found.test)),
        args.batch * args.length,
        "characters",
        seconds,
        sample=write(net, args.sample, found.alphabet),
    )


if __name__ == "__main__":
    start(main)
