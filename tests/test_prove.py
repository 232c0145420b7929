"""The ladder: equal twins climb it, and each rung is broken once by a planted fault."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from labkit import ladder, record, twins
from labkit.press import chapter, prove
from labkit.press.source import SourceError

RNG = np.random.default_rng(0)
IMAGES, CLASSES = RNG.standard_normal((8, 6, 6, 1)), RNG.integers(0, 3, 8)
SYMBOLS = RNG.integers(0, 5, (4, 4))
NEXT = RNG.integers(0, 5, (4, 4))


@pytest.fixture(scope="module", autouse=True)
def float64():
    import keras

    # Both: once a layer has been made, set_floatx alone changes no layer's type any more.
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def to_torch(images):
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2)


def torch_cnn(norm=None, padding="same", bias=True):
    import torch
    from torch import nn

    class BiasedBatchNorm(nn.BatchNorm2d):
        """Keeps the biased variance of each batch, as Keras does."""

        def forward(self, x):
            if not self.training:
                return super().forward(x)
            with torch.no_grad():
                self.running_mean.lerp_(x.mean((0, 2, 3)), self.momentum)
                self.running_var.lerp_(x.var((0, 2, 3), unbiased=False), self.momentum)
            batch_norm = nn.functional.batch_norm
            return batch_norm(x, None, None, self.weight, self.bias, True, 0, self.eps)

    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=padding, padding_mode="zeros", bias=bias),
        (norm or BiasedBatchNorm)(4, eps=1e-3, momentum=0.125),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).double()


def keras_cnn():
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(epsilon=1e-3, momentum=0.875),
            layers.ReLU(),
            layers.Conv2D(4, 3, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def keras_loss(scores, labels):
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, scores)


def torch_loss(scores, labels):
    from torch import nn

    return nn.functional.cross_entropy(scores.flatten(0, -2), labels.flatten())


def torch_rnn(batch_first=True, freeze=True):
    import torch
    from torch import nn

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.read = nn.LSTM(3, 4, batch_first=batch_first)
            self.head = nn.Linear(4, 5)
            if freeze:
                self.read.bias_hh_l0.requires_grad_(False)

        def forward(self, x):
            return self.head(self.read(self.embed(torch.as_tensor(x)))[0])

    return Reader().double()


def keras_rnn():
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((4,), dtype="int64"),
            layers.Embedding(5, 3),
            layers.LSTM(4, return_sequences=True),
            layers.Dense(5),
        ]
    )


def torch_losses(net, momentum=0.875, steps=200):
    import torch

    twins.first_weights(net, seed=1)
    sgd = torch.optim.SGD(net.parameters(), lr=0.125, momentum=momentum)
    net.train()
    losses = []
    for _ in range(steps):
        loss = torch_loss(net(to_torch(IMAGES)), torch.from_numpy(CLASSES))
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    return losses


def keras_losses(net, momentum=0.875, steps=200):
    import keras
    import tensorflow as tf

    twins.first_weights(net, seed=1)
    sgd = keras.optimizers.SGD(0.125, momentum=momentum)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = keras_loss(net(IMAGES, training=True), CLASSES)
        weights = net.trainable_variables
        sgd.apply(tape.gradient(loss, weights), weights)
        return loss

    return [float(step()) for _ in range(steps)]


def climb_cnn(net, losses=(1.0,) * 200):
    return {
        "ladder": ladder.climb(net, to_torch, torch_loss, IMAGES, CLASSES),
        "losses": list(losses),
    }


def climb_rnn(net, losses=(1.0,) * 200):
    return {"ladder": ladder.climb(net, np.asarray, torch_loss, SYMBOLS, NEXT), "losses": losses}


@pytest.fixture(scope="module")
def cnn():
    """What the good Keras CNN notes."""
    net = keras_cnn()
    found = ladder.climb(net, np.asarray, keras_loss, IMAGES, CLASSES)
    return {"ladder": found, "losses": [1.0] * 200}


@pytest.fixture(scope="module")
def rnn():
    found = ladder.climb(keras_rnn(), np.asarray, keras_loss, SYMBOLS, NEXT)
    return {"ladder": found, "losses": [1.0] * 200}


def first_broken(ours, theirs):
    rungs = prove.climb(ours, theirs)
    assert all(r.holds for r in rungs[:-1])
    return None if rungs[-1].holds else rungs[-1]


def test_equal_twins_climb_to_the_top(cnn, rnn):
    good = {**cnn, "losses": keras_losses(keras_cnn())}
    net = torch_cnn()
    rungs = prove.climb(climb_cnn(net, torch_losses(net)), good)
    assert [r.name for r in rungs] == [
        "parameters",
        "sensitivity",
        "outputs",
        "gradients",
        "modes",
        "losses",
    ]
    assert all(r.holds for r in rungs)
    assert max(r.difference or 0 for r in rungs) < 1e-12
    assert first_broken(climb_rnn(torch_rnn()), rnn) is None


def test_climbing_leaves_the_model_as_it_was():
    for net in (torch_cnn(), keras_cnn()):
        before = twins.first_weights(net, seed=4)
        prepare, loss = (
            (to_torch, torch_loss) if "torch" in type(net).__module__ else (np.asarray, keras_loss)
        )
        ladder.climb(net, prepare, loss, IMAGES, CLASSES)
        after = twins.weights(net)
        assert all(np.array_equal(before[k], after[k]) for k in before)


def test_first_difference_names_the_rung():
    good = climb_cnn(torch_cnn())["ladder"]
    assert ladder.first_difference(good, good) is None
    padded = climb_cnn(torch_cnn(padding=0))["ladder"]
    assert ladder.first_difference(good, padded) == "outputs"
    bare = climb_cnn(torch_cnn(bias=False))["ladder"]
    assert ladder.first_difference(good, bare) == "parameters"


# --- planted faults ------------------------------------------------------------------------------


def test_a_missing_bias(cnn):
    broken = first_broken(climb_cnn(torch_cnn(bias=False)), cnn)
    assert broken.name == "parameters"
    assert broken.detail == "0.conv.bias: none and (4,)"


def test_a_network_that_reads_along_the_wrong_axis(rnn):
    broken = first_broken(climb_rnn(torch_rnn(batch_first=False)), rnn)
    assert broken.name == "sensitivity"


def test_another_padding(cnn):
    broken = first_broken(climb_cnn(torch_cnn(padding=0)), cnn)
    assert broken.name == "outputs"
    assert broken.difference > 1e-3


def test_a_transposed_kernel(cnn, monkeypatch):
    from labkit import layouts

    kind, table = layouts._TORCH["Conv2d"]
    turned = {**table, "weight": ("kernel", (3, 2, 1, 0))}
    monkeypatch.setitem(layouts._TORCH, "Conv2d", (kind, turned))
    assert first_broken(climb_cnn(torch_cnn()), cnn).name == "outputs"


def test_batchnorm_never_in_training_mode(cnn):
    from torch import nn

    class Frozen(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(False)

    broken = first_broken(climb_cnn(torch_cnn(norm=Frozen)), cnn)
    assert broken.name == "gradients"
    assert "first at " in broken.detail


def test_a_bias_that_learns_at_twice_the_rate(rnn):
    broken = first_broken(climb_rnn(torch_rnn(freeze=False)), rnn)
    assert broken.name == "gradients"
    assert broken.detail == "first at 1.lstm.bias"


def test_a_running_variance_that_is_unbiased(cnn):
    from torch import nn

    broken = first_broken(climb_cnn(torch_cnn(norm=nn.BatchNorm2d)), cnn)
    assert broken.name == "modes"
    assert broken.difference > 1e-6


def test_a_momentum_rounded_to_float32(cnn):
    """0.9 is no sum of few powers of two, and Keras' optimizers round it to float32."""
    net = torch_cnn()
    ours = climb_cnn(net, torch_losses(net, momentum=0.9))
    broken = first_broken(ours, {**cnn, "losses": keras_losses(keras_cnn(), momentum=0.9)})
    assert broken.name == "losses"
    assert broken.detail.startswith("from step ")


def test_a_leak_from_one_example_to_the_others(cnn):
    """Twins that leak alike are equal, and wrong."""
    from torch import nn

    class Leak(nn.Module):
        def forward(self, x):
            return x + x.mean(0)

    net = nn.Sequential(Leak(), *torch_cnn()).double()
    ours = climb_cnn(net)
    broken = first_broken(ours, ours)
    assert broken.name == "sensitivity"
    assert "in both, a change of example 0 reaches others" in broken.detail


def test_frozen_layers_have_no_gradient(cnn):
    net, twin = torch_cnn(), keras_cnn()
    net[0].weight.requires_grad_(False)
    net[0].bias.requires_grad_(False)
    twin.layers[0].trainable = False
    theirs = ladder.climb(twin, np.asarray, keras_loss, IMAGES, CLASSES)
    assert first_broken(climb_cnn(net), {**cnn, "ladder": theirs}) is None
    assert theirs["gradients"]["0.conv.kernel"] == [0, 0, 0]


def test_too_few_steps(cnn):
    short = {**cnn, "losses": [1.0] * 199}
    broken = first_broken(short, short)
    assert broken.name == "losses"
    assert "at least 200" in broken.detail


# --- the course's own ----------------------------------------------------------------------


@pytest.mark.parametrize("path", chapter.chapters(ROOT), ids=lambda p: p.stem)
def test_every_lab_that_trains_is_proven(path):
    loaded = chapter.load(path)
    if prove.trains(loaded):
        assert all(r.holds for r in prove.of_chapter(ROOT / "evidence", loaded.lab))
        assert "ladder" in {c.step for c in loaded.cells}  # the page shows its table there


@pytest.mark.parametrize(
    ("code", "trains"),
    [
        ("from torch.optim import SGD", True),
        ("keras.optimizers.SGD(1)", True),
        ("net.compile('adam')", True),
        ("trainer = lightning.Trainer(max_epochs=1)", True),
        ("net(x)  # optimal", False),
    ],
)
def test_a_lab_that_trains_is_found(code, trains):
    from conftest import FRONT

    text = FRONT + f"# T\n\n```{{code-cell}}\n{code}\n```\n"
    assert prove.trains(chapter.parse(text, ROOT / "chapters" / "tiny.md")) == trains


def test_a_lab_without_a_ladder_is_named(tmp_path):
    source = ROOT / "evidence" / "cpu"
    folder = tmp_path / "cpu"
    folder.mkdir()
    lab = chapter.Lab("first-network", 1, 1, "beginner")
    for framework in chapter.FRAMEWORKS:
        name = f"first-network.{framework}.json"
        content = copy.deepcopy(record.read(source / name))
        del content["exact"]["ladder"]
        (folder / name).write_text(record.dumps(content))
    with pytest.raises(prove.NoLadderError, match="holds no ladder"):
        prove.of_chapter(tmp_path, lab)
    with pytest.raises(prove.NoLadderError, match="is missing"):
        prove.of_chapter(tmp_path, replace(lab, name="other"))


@pytest.mark.parametrize(
    ("equal", "theirs", "words"),
    [
        (chapter.Equal("other", "another curve"), [1, 2 + 1e-12], None),
        (chapter.Equal("other", "another curve"), [1, 2 + 1e-9], "2 numbers"),
        (chapter.Equal("other", "another curve"), [1, 2, 3], "shapes"),
        (chapter.Equal("none", "nothing"), [1, 2], "no none in both records"),
        (chapter.Equal("other", "coarse", 0.01, "it is coarse"), [1, 2.001], None),
        (chapter.Equal("other", "coarse", 0.01, "it is coarse"), [1, 2.02], "since it is coarse"),
    ],
)
def test_what_else_must_be_equal_has_its_bound(equal, theirs, words):
    ladder = record.read(ROOT / "evidence" / "cpu" / "first-network.pytorch.json")["exact"]
    rungs = prove.climb({**ladder, "other": [1, 2]}, {**ladder, "other": theirs}, [equal])
    assert rungs[-1].name == equal.field
    assert rungs[-1].holds == (words is None)
    assert words is None or words in rungs[-1].detail


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{x: 3}", "must be what is compared"),
        ("{x: {bound: 0.1, because: it is}}", "needs `what`"),
        ("{x: {what: it, bound: 0.1}}", "needs `because`"),
        ("{x: {what: it, bound: small, because: it is}}", "is no number"),
    ],
)
def test_what_must_be_equal_is_stated_in_full(row, words):
    from conftest import FRONT

    front = FRONT.replace("claims: [first-network]", f"equal: {row}")
    with pytest.raises(SourceError, match=words):
        chapter.parse(front + "# T\n", ROOT / "chapters" / "tiny.md")
