"""Train LSTMs to write a text, one character after the other, with PyTorch."""

import math
import sys

sys.modules.setdefault("tensorboard.compat.notf", sys)  # or it imports TensorFlow, for seconds

import torch
import torch.nn.functional as F
from shared import Run, batches, begun, start, text, text_parser, triangle, whole
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


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


class Trainer:
    """A network with all that its training needs and changes."""

    def __init__(self, args, net, steps):
        self.args, self.net = args, net
        trained = [p for p in net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim > 1]},
                {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0},
            ],
            lr=args.rate,
            betas=(0.875, 0.9921875),
            weight_decay=args.weight_decay,
            # The frameworks add it at different places: this small, float64 does not see it.
            eps=1e-30 if args.precision == "float64" else 1e-8,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: triangle(min(step, steps - 1), steps, max(1, steps // 10))
        )
        self.scaler = torch.amp.GradScaler(DEVICE.type, enabled=args.precision == "float16")
        self.mixed = torch.autocast(
            DEVICE.type,
            dtype=torch.float16 if args.precision == "float16" else torch.bfloat16,
            enabled=args.precision.endswith("16"),
        )
        kept = (net, self.optimizer, self.schedule, self.scaler)
        self.parts = dict(zip(("net", "optimizer", "schedule", "scaler"), kept, strict=True))

    def loss(self, x, y):
        x, y = x.to(DEVICE, non_blocking=True), y.to(DEVICE, non_blocking=True)
        with self.mixed:
            return F.cross_entropy(self.net(x).flatten(0, 1), y.flatten())

    def step(self, x, y):
        """Learn from one batch; return its loss."""
        self.net.train()
        loss = self.loss(x, y)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.net.parameters(), self.args.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss.detach()

    @torch.inference_mode()
    def bits(self, pieces):
        """Return bits per character, each piece read from an empty state."""
        self.net.eval()
        total = sum(
            self.loss(part[:, :-1], part[:, 1:]).item() * len(part) for part in pieces.split(100)
        )
        return total / len(pieces) / math.log(2)

    @torch.inference_mode()
    def write(self, count, alphabet):
        """Write some characters, each drawn as the network expects it."""
        self.net.eval()
        code, states, written = torch.zeros(1, 1, dtype=torch.int64, device=DEVICE), None, ""
        for _ in range(count):
            scores, states = self.net.read(code, states)
            code = torch.multinomial(scores[0].softmax(1), 1)
            written += alphabet[code.item()]
        return written

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
    parser = text_parser(__doc__)
    parser.add_argument("--workers", type=whole(0), default=0, help="processes that load pieces")
    args = parser.parse_args()
    found = text(args.data, args.length)
    order = batches(len(found.train), args.batch, args.steps, args.seed)
    run = Run(args, args.steps, found.train)
    torch.manual_seed(args.seed)
    torch.set_default_dtype(torch.float64 if args.precision == "float64" else torch.float32)
    net = Net(len(found.alphabet), args.width, args.layers, args.dropout).to(DEVICE)
    begun(net, args)
    trainer = Trainer(args, net, args.steps)
    run.restore("checkpoint.pt", trainer.load)
    pieces = torch.from_numpy(found.train)
    if not args.workers:
        pieces = pieces.to(DEVICE)
    loader = DataLoader(
        TensorDataset(pieces[:, :-1], pieces[:, 1:]),
        batch_size=None,  # the sampler gives whole batches
        sampler=order[run.step :],
        num_workers=args.workers,
        generator=torch.Generator(),  # or it draws from what dropout draws from
        pin_memory=bool(args.workers) and DEVICE.type == "cuda",
    )
    with SummaryWriter(run.folder, purge_step=run.step + 1) as board:
        for step, (x, y) in enumerate(loader, start=run.step + 1):
            loss = trainer.step(x, y)
            run.note(step, loss)
            if step % 10 == 0:
                board.add_scalar("loss", loss, step)
            if run.due():
                trainer.save(run)
                run.leave_if_told()
        seconds = run.seconds
        bits = trainer.bits(torch.from_numpy(found.test))
        board.add_scalar("bits per character", bits, run.step)
    with run.writing("model.pt") as file:
        torch.save(net.state_dict(), file)
    sample = trainer.write(args.sample, found.alphabet)
    read = args.batch * args.length
    run.finish(DEVICE.type, read, "characters", seconds, bits_per_character=bits, sample=sample)


if __name__ == "__main__":
    start(main)
