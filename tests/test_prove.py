"""The ladder: equal twins climb it, and each rung is broken once by a planted fault."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from labkit import ladder, record, rungs, twins
from labkit.press import chapter, prove
from labkit.press.records import Records
from labkit.press.source import SourceError
from labkit.session import Session

RNG = np.random.default_rng(0)
IMAGES, CLASSES = RNG.standard_normal((8, 6, 6, 1)), RNG.integers(0, 3, 8)
TEST = RNG.standard_normal((5, 6, 6, 1))
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


def torch_cnn(norm=None, padding="same", bias=True, momentum=0.125, eps=1e-3):
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
        (norm or BiasedBatchNorm)(4, eps=eps, momentum=momentum),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).double()


def keras_cnn(bias=True, momentum=0.875):
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, padding="same", use_bias=bias),
            layers.BatchNormalization(epsilon=1e-3, momentum=momentum),
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


def torch_train(net, make=None, steps=200, each=None):
    """Train from the first weights and return the losses; `make` makes the optimizer."""
    import torch

    twins.first_weights(net, seed=1)
    moved = [p for p in net.parameters() if p.requires_grad]
    optimizer = make(moved) if make else torch.optim.SGD(moved, lr=0.125, momentum=0.875)
    net.train()
    losses = []
    for step in range(steps):
        loss = torch_loss(net(to_torch(IMAGES)), torch.from_numpy(CLASSES))
        optimizer.zero_grad()
        loss.backward()
        if each:
            each(step, optimizer)
        optimizer.step()
        losses.append(loss.item())
    return losses


def keras_train(net, optimizer=None, steps=200):
    import keras
    import tensorflow as tf

    twins.first_weights(net, seed=1)
    optimizer = optimizer or keras.optimizers.SGD(0.125, momentum=0.875)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = keras_loss(net(IMAGES, training=True), CLASSES)
        weights = net.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return [float(step()) for _ in range(steps)]


TRAINED = np.linspace(2, 1, 200).tolist()
"""Stands for losses where a test is about something else."""


def climb_cnn(net, losses=TRAINED):
    """What a PyTorch CNN notes."""
    found = ladder.climb(net, to_torch, torch_loss, IMAGES, CLASSES, TEST)
    return {"ladder": found, "losses": list(losses)}


def climb_keras(net, losses=TRAINED):
    """What a Keras CNN notes."""
    found = ladder.climb(net, np.asarray, keras_loss, IMAGES, CLASSES, TEST)
    return {"ladder": found, "losses": list(losses)}


def climb_rnn(net, losses=TRAINED):
    loss = torch_loss if "torch" in str(type(net).__mro__) else keras_loss
    found = ladder.climb(net, np.asarray, loss, SYMBOLS, NEXT, SYMBOLS[::-1].copy())
    return {"ladder": found, "losses": list(losses)}


@pytest.fixture(scope="module")
def cnn():
    """What the good Keras CNN notes, not trained."""
    net = keras_cnn()
    twins.first_weights(net, seed=1)
    return climb_keras(net)


@pytest.fixture(scope="module")
def rnn():
    net = keras_rnn()
    twins.first_weights(net, seed=1)
    return climb_rnn(net)


def drawn(net):
    twins.first_weights(net, seed=1)
    return net


def first_broken(ours, theirs, more=()):
    steps = rungs.compare(ours, theirs, more)
    assert all(s.holds for s in steps[:-1])
    return None if steps[-1].holds else steps[-1]


def test_equal_twins_climb_to_the_top(rnn):
    net, twin = torch_cnn(bias=False), keras_cnn(bias=False)
    ours, theirs = climb_cnn(net, torch_train(net)), climb_keras(twin, keras_train(twin))
    steps = rungs.compare(ours, theirs)
    assert [s.name for s in steps] == [
        "parameters",
        "sensitivity",
        "outputs",
        "gradients",
        "modes",
        "losses",
        "trained",
        "evaluation",
    ]
    assert all(s.holds for s in steps)
    assert max(s.difference or 0 for s in steps) < 1e-11
    assert first_broken(climb_rnn(drawn(torch_rnn())), rnn) is None


def test_climbing_leaves_the_model_as_it_was():
    for net in (torch_cnn(), keras_cnn()):
        before = twins.first_weights(net, seed=4)
        (climb_cnn if "torch" in type(net).__module__ else climb_keras)(net)
        after = twins.weights(net)
        assert all(np.array_equal(before[k], after[k]) for k in before)


def test_first_difference_names_the_rung():
    good = climb_cnn(torch_cnn())["ladder"]
    assert rungs.first_difference(good, good) is None
    padded = climb_cnn(torch_cnn(padding=0))["ladder"]
    assert rungs.first_difference(good, padded) == "outputs"
    bare = climb_cnn(drawn(torch_cnn(bias=False)))["ladder"]
    assert rungs.first_difference(good, bare) == "parameters"


# --- planted faults ------------------------------------------------------------------------------


def test_a_missing_bias(cnn):
    broken = first_broken(climb_cnn(drawn(torch_cnn(bias=False))), cnn)
    assert broken.name == "parameters"
    assert broken.detail == "0.conv.bias: none and (4,), trained"


def test_a_network_that_reads_along_the_wrong_axis(rnn):
    broken = first_broken(climb_rnn(drawn(torch_rnn(batch_first=False))), rnn)
    assert broken.name == "sensitivity"


def test_another_padding(cnn):
    broken = first_broken(climb_cnn(drawn(torch_cnn(padding=0))), cnn)
    assert broken.name == "outputs"
    assert broken.difference > 1e-3


def test_a_transposed_kernel(cnn, monkeypatch):
    from labkit import layouts

    kind, table = layouts._TORCH["Conv2d"]
    turned = {**table, "weight": ("kernel", (3, 2, 1, 0))}
    monkeypatch.setitem(layouts._TORCH, "Conv2d", (kind, turned))
    assert first_broken(climb_cnn(drawn(torch_cnn())), cnn).name == "outputs"


def test_batchnorm_never_in_training_mode(cnn):
    from torch import nn

    class Frozen(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(False)

    broken = first_broken(climb_cnn(drawn(torch_cnn(norm=Frozen))), cnn)
    assert broken.name == "gradients"
    assert "first at " in broken.detail


def test_a_bias_that_learns_at_twice_the_rate(rnn):
    broken = first_broken(climb_rnn(drawn(torch_rnn(freeze=False))), rnn)
    assert broken.name == "gradients"
    assert broken.detail == "first at 1.lstm.bias"


def test_a_running_variance_that_is_unbiased(cnn):
    from torch import nn

    broken = first_broken(climb_cnn(drawn(torch_cnn(norm=nn.BatchNorm2d))), cnn)
    assert broken.name == "modes"
    assert broken.difference > 1e-6


def test_a_momentum_rounded_to_float32():
    """0.9 is no sum of few powers of two, and Keras' optimizers round it to float32."""
    import keras
    import torch

    net, twin = torch_cnn(), keras_cnn()
    ours = torch_train(net, lambda moved: torch.optim.SGD(moved, 0.125, momentum=0.9))
    theirs = keras_train(twin, keras.optimizers.SGD(0.125, momentum=0.9))
    broken = first_broken(climb_cnn(net, ours), climb_keras(twin, theirs))
    assert broken.name == "losses"
    assert broken.detail.startswith("from step ")


def test_a_bias_before_batchnorm_walks_off_under_adam():
    """Its gradient is rounding and nothing else, and Adam makes steps of it."""
    import keras
    import torch

    net, twin = torch_cnn(), keras_cnn()
    betas = (0.875, 0.9921875)
    ours = torch_train(net, lambda moved: torch.optim.Adam(moved, 2**-7, betas, eps=1e-30))
    theirs = keras_train(twin, keras.optimizers.Adam(2**-7, *betas, epsilon=1e-30))
    broken = first_broken(climb_cnn(net, ours), climb_keras(twin, theirs))
    assert broken.name == "trained"
    # Both may end at the same place by different ways, which the running mean remembers.
    assert broken.detail in ("first at 0.conv.bias", "first at 1.batchnorm.mean")


def test_a_bias_that_is_frozen_in_one_twin_and_decayed_in_the_other(rnn):
    """As both are zero in the beginning and get no gradient, no loss tells."""
    net = drawn(torch_rnn())
    net.read.bias_ih_l0.requires_grad_(False)
    broken = first_broken(climb_rnn(net), rnn)
    assert broken.name == "parameters"
    assert broken.detail == "1.lstm.bias: (16,), not trained and (16,), trained"


def test_weights_that_keras_averages_after_training():
    """With `use_ema`, `fit` leaves the mean of all weights there have been; losses know nothing."""
    import keras
    import tensorflow as tf

    net, twin = torch_cnn(bias=False), keras_cnn(bias=False)
    ours = torch_train(net)
    twins.first_weights(twin, seed=1)
    twin.compile(
        keras.optimizers.SGD(0.125, momentum=0.875, use_ema=True, ema_momentum=0.875),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    data = tf.data.Dataset.from_tensors((IMAGES, CLASSES)).repeat(200)
    losses = []

    class Losses(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.reset_metrics()

        def on_train_batch_end(self, batch, logs):
            losses.append(logs["loss"])

    twin.fit(data, verbose=0, callbacks=[Losses()])
    ours, theirs = climb_cnn(net, ours), climb_keras(twin, ours)
    assert np.allclose(losses, ours["losses"], 1e-4)  # `fit` keeps its losses in float32
    assert first_broken(ours, theirs).name == "trained"


def test_a_trained_network_with_another_momentum_than_the_fresh_one():
    """Statistics that move at another speed: no loss in training shows it, the scores after do."""
    net, twin = torch_cnn(bias=False, momentum=0.5), keras_cnn(bias=False)
    broken = first_broken(climb_cnn(net, torch_train(net)), climb_keras(twin, keras_train(twin)))
    assert broken.name == "modes"
    # Had a fresh network climbed in its place:
    fresh = climb_cnn(torch_cnn(bias=False))["ladder"]
    trained = climb_cnn(net)["ladder"]
    theirs = climb_keras(twin)["ladder"]
    mixed = {**fresh, "trained": trained["trained"], "evaluation": trained["evaluation"]}
    assert rungs.first_difference(mixed, theirs) == "trained"


def test_a_fresh_network_is_refused():
    lab = Session("tiny", "pytorch", "cpu", 1, 0, None)
    net = drawn(torch_cnn())
    some = to_torch, torch_loss, IMAGES, CLASSES
    with pytest.raises(ValueError, match="pass the one that was trained"):
        lab.prove(net, *some, losses=TRAINED, test=TEST)
    copied = torch_cnn()
    torch_train(net, steps=2)
    twins.set_weights(copied, twins.weights(net))
    with pytest.raises(ValueError, match="a copy"):
        lab.prove(copied, *some, losses=TRAINED, test=TEST)


def test_outputs_as_small_as_the_bound_are_compared():
    """Everything here is 1e-11 large, and an absolute bound of 1e-10 would find it equal."""
    from torch import nn

    class Small(nn.Module):
        def forward(self, x):
            return x * 1e-11

    ours, theirs = (
        climb_cnn(nn.Sequential(*torch_cnn(eps=eps, bias=False), Small()).double())
        for eps in (1e-3, 1e-5)
    )
    assert np.abs(ours["ladder"]["outputs"]).max() < 1e-10
    assert first_broken(ours, theirs).name == "outputs"


def test_clipping_whose_limit_is_never_reached():
    """By the norm of all or by single values: as long as nothing is clipped, all is equal."""
    import torch
    from torch.nn.utils import clip_grad_norm_, clip_grad_value_

    found = []
    for clip in (clip_grad_norm_, clip_grad_value_):
        net = torch_cnn(bias=False)
        clipped = 0

        def each(step, optimizer, net=net, clip=clip):
            nonlocal clipped
            clipped += bool(torch.nn.utils.get_total_norm([p.grad for p in net.parameters()]) > 1e3)
            clip(net.parameters(), 1e3)

        losses = torch_train(net, each=each)
        found.append({**climb_cnn(net, losses), "took_effect": {"clipping": clipped}})
    broken = first_broken(*found, [rungs.took_effect(["clipping"])])
    assert broken.name == "took effect"
    assert broken.detail == "clipping: never and never"


def test_schedules_that_part_at_the_last_step():
    """The last step's loss is from before it: the weights after it tell."""
    found = []
    for last in (0.125, 0.0625):
        net = torch_cnn(bias=False)

        def each(step, optimizer, last=last):
            optimizer.param_groups[0]["lr"] = last if step == 199 else 0.125

        found.append(climb_cnn(net, torch_train(net, each=each)))
    assert first_broken(*found).name == "trained"


def test_a_mask_without_a_zero(rnn):
    """A symbol that never comes is masked in one twin; it would be read in the other."""
    counts = {"masking": int((SYMBOLS == 5).sum())}
    ours = {**climb_rnn(drawn(torch_rnn())), "took_effect": counts}
    theirs = {**rnn, "took_effect": counts}
    assert first_broken(ours, theirs, [rungs.took_effect(["masking"])]).name == "took effect"


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({"clipping": 3}, {"clipping": 3}, None),
        ({"clipping": 3}, {"clipping": 2}, "3 and 2"),
        ({"clipping": 3}, {}, "3 and never"),
        ({}, {}, "never and never"),
    ],
)
def test_what_takes_effect_does_so_as_often_in_both(ours, theirs, words):
    rung = rungs.took_effect(["clipping"])
    holds, _, said = rung.test({"took_effect": ours}, {"took_effect": theirs})
    assert holds == (words is None)
    assert words is None or words in said


def test_weights_that_no_layer_of_its_kind_has_are_named():
    import keras
    import torch
    from torch import nn

    class Odd(nn.Linear):
        def __init__(self):
            super().__init__(4, 3)
            self.gain = nn.Parameter(torch.ones(10))

    with pytest.raises(twins.UnknownLayerError, match=r"^1\.gain, of shape \(10,\), is a weight"):
        twins.weights(nn.Sequential(nn.Flatten(), Odd()))

    class Extra(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(3)
            self.gain = self.add_weight(shape=(10,), name="gain")

        def call(self, x):
            return self.head(x)

    net = Extra()
    net(np.ones((1, 4)))
    with pytest.raises(twins.UnknownLayerError, match=r"gain, of shape \(10,\), is a weight"):
        twins.weights(net)


@pytest.mark.parametrize("kind", ["BatchNormalization", "LayerNormalization"])
def test_normalization_in_a_subclassed_model(kind):
    """Such a layer has no `input` that could be asked for its rank."""
    import keras

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = getattr(keras.layers, kind)()
            self.head = keras.layers.Dense(3)

        def call(self, x, training=False):
            return self.head(keras.ops.mean(self.norm(x, training=training), axis=(1, 2)))

    net = Net()
    net(IMAGES)
    assert f"0.{'batchnorm' if 'Batch' in kind else 'layernorm'}.gamma" in twins.weights(net)
    assert climb_keras(net)["ladder"]["parameters"][0][1] == [1]


@pytest.mark.parametrize(
    ("change", "rung", "words"),
    [
        (lambda e: e["ladder"].update(parameters=[]), "parameters", "there are none"),
        (
            lambda e: e["ladder"].update(gradients={"0.conv.kernel": [0.0, 0.0, 0.0]}),
            "gradients",
            "nothing would be learned",
        ),
        (lambda e: e.update(losses=[0.0] * 200), "losses", "nothing was trained"),
        (lambda e: e.update(losses=[1.5] * 200), "losses", "nothing was trained"),
        (lambda e: e["ladder"].update(outputs=[[0.0]] * 8), "outputs", "nothing is compared"),
        (lambda e: e["ladder"].pop("trained"), "trained", "no ladder.trained"),
        (lambda e: e["ladder"].update(parameters=[["a", [3]]]), "parameters", "the known form"),
        (lambda e: e["ladder"].update(trained=[1]), "trained", "the known form"),
        (lambda e: e["ladder"].update(trained={"a": [1, 2, 3]}), "trained", "not among the"),
        (
            lambda e: e["ladder"]["trained"].update({"0.conv.kernel": [np.nan, 0, 0]}),
            "trained",
            "not finite",
        ),
        (lambda e: e["ladder"].update(outputs=[]), "sensitivity", "the known form"),
        (lambda e: e.update(losses="low"), "losses", "the known form"),
        (lambda e: e["ladder"].pop("evaluation"), "evaluation", "no ladder.evaluation"),
        (lambda e: e.update(losses=[1.0] * 199), "losses", "at least 200"),
    ],
)
def test_two_records_that_agree_on_nothing_prove_nothing(cnn, change, rung, words):
    same = copy.deepcopy(cnn)
    change(same)
    broken = first_broken(same, copy.deepcopy(same))
    assert broken.name == rung
    assert words in broken.detail


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


def test_frozen_layers_have_no_gradient():
    net, twin = drawn(torch_cnn()), drawn(keras_cnn())
    net[0].weight.requires_grad_(False)
    net[0].bias.requires_grad_(False)
    twin.layers[0].trainable = False
    theirs = climb_keras(twin)
    assert first_broken(climb_cnn(net), theirs) is None
    assert theirs["ladder"]["gradients"]["0.conv.kernel"] == [0, 0, 0]
    assert theirs["ladder"]["parameters"][0] == ["0.conv.kernel", [3, 3, 1, 4], False]


# --- in the notebook ---------------------------------------------------------------------------


@pytest.fixture
def twin_of(tmp_path, monkeypatch):
    """Put a record of the other twin into the course's evidence."""
    monkeypatch.setenv("LABKIT_EVIDENCE", str(tmp_path))

    def put(exact):
        content = {
            **record.read(ROOT / "evidence" / "cpu" / "first-network.tensorflow.json"),
            "chapter": "tiny",
            "exact": exact,
        }
        path = tmp_path / "cpu" / "tiny.tensorflow.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(record.dumps(content))

    return put


def prove_torch(net, losses, **effects):
    lab = Session("tiny", "pytorch", "cpu", 1, 0, None)
    if effects:
        lab.took_effect(**effects)
    lab.prove(net, to_torch, torch_loss, IMAGES, CLASSES, losses=losses, test=TEST)


def plain(value):
    """As JSON holds it."""
    return json.loads(json.dumps(value, default=np.ndarray.tolist))


def test_a_notebook_alone_shows_the_proof(twin_of, capsys):
    net, twin = torch_cnn(bias=False), keras_cnn(bias=False)
    losses = torch_train(net)
    prove_torch(net, losses)
    assert capsys.readouterr().out == (
        "noted for the proof; there is no record of TensorFlow here yet\n"
    )
    theirs = plain({**climb_keras(twin, keras_train(twin)), "took_effect": {"clipping": 3}})
    twin_of(theirs)
    prove_torch(net, losses, clipping=3)
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "this notebook, held against the course's in TensorFlow:"
    assert said.count("✓") == len(rungs.RUNGS) + 1
    assert said.endswith("all 9 rungs hold; the bound is 1e-10\n")
    theirs["losses"][41] += 1e-3
    twin_of(theirs)
    prove_torch(net, losses)
    said = capsys.readouterr().out
    assert "✗ losses" in said
    assert "apart, from step 42 of 200 on" in said
    assert "labkit prove --mine tiny" in said


# --- the course's own ----------------------------------------------------------------------


OWED = [c for c in map(chapter.load, chapter.chapters(ROOT)) if c.lab.ladder is not None]


@pytest.mark.parametrize("loaded", OWED, ids=lambda c: c.name)
def test_every_lab_that_owes_a_proof_is_proven(loaded):
    steps = prove.of_chapter(Records(ROOT / "evidence"), loaded.lab)
    assert [s for s in steps if not s.holds] == []
    # "compared" is there where a lab shows results of both twins.
    added = [r.name for r in prove.more(loaded.lab)] + ["third twin"] * bool(loaded.lab.third)
    names = [s.name for s in steps if s.name != "compared"]
    assert names == [r.name for r in rungs.RUNGS] + added


def test_a_lab_without_a_ladder_is_named(tmp_path):
    source = ROOT / "evidence" / "cpu"
    folder = tmp_path / "cpu"
    folder.mkdir()
    lab = chapter.Lab("first-network", "beginner")
    for framework in chapter.FRAMEWORKS:
        name = f"first-network.{framework}.json"
        content = copy.deepcopy(record.read(source / name))
        del content["exact"]["ladder"]
        (folder / name).write_text(record.dumps(content))
    with pytest.raises(prove.NoLadderError, match="holds no ladder"):
        prove.of_chapter(Records(tmp_path), lab)
    with pytest.raises(prove.NoLadderError, match="is missing"):
        prove.of_chapter(Records(tmp_path), replace(lab, name="other"))


@pytest.mark.parametrize(
    ("equal", "theirs", "words"),
    [
        (chapter.Equal("other", "another curve"), [1, 2 + 1e-12], None),
        (chapter.Equal("other", "another curve"), [1, 2 + 1e-9], "2 numbers"),
        (chapter.Equal("other", "another curve"), [1, 2, 3], "shapes"),
        (chapter.Equal("none", "nothing"), [1, 2], "no none in both records"),
        (chapter.Equal("other", "coarse", 0.01, "it is coarse"), [1, 2.001], None),
        (chapter.Equal("other", "coarse", 0.01, "it is coarse"), [1, 2.03], "since it is coarse"),
    ],
)
def test_what_else_must_be_equal_has_its_bound(equal, theirs, words):
    ladder = record.read(ROOT / "evidence" / "cpu" / "first-network.pytorch.json")["exact"]
    rung = rungs.field(equal.field, equal.what, equal.bound, equal.because)
    step = rungs.compare({**ladder, "other": [1, 2]}, {**ladder, "other": theirs}, [rung])[-1]
    assert step.name == equal.field
    assert step.holds == (words is None)
    assert words is None or words in step.detail


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{x: 3}", "must be a map"),
        ("{x: {bound: 0.1, because: it is}}", "`what` is missing"),
        ("{x: {what: it, bound: 0.1}}", "needs `because`"),
        ("{x: {what: it, bound: small, because: it is}}", "must be a number above 0 and below 1"),
    ],
)
def test_what_must_be_equal_is_stated_in_full(row, words):
    from conftest import FRONT

    front = FRONT.replace("claims: [first-network]", f"equal: {row}")
    with pytest.raises(SourceError, match=words):
        chapter.parse(front + "# T\n", ROOT / "chapters" / "tiny.md")
