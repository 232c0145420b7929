"""Converted weights give the same outputs, whatever the network: networks drawn by hypothesis."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit import twins

pytestmark = pytest.mark.engine

BOUND = 1e-12
SIZE = 9
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def same_padding(kernel, stride, size=SIZE):
    """What Keras' `same` adds before and after: more after, where it cannot be shared evenly."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


convolutions = st.lists(
    st.fixed_dictionaries(
        {
            "filters": st.integers(1, 4),
            "kernel": st.integers(1, 4),
            "stride": st.integers(1, 2),
            "padding": st.sampled_from(["valid", "same"]),
            "bias": st.booleans(),
            "norm": st.sampled_from([None, "batch"]),
        }
    ),
    min_size=1,
    max_size=2,
)


def cnns(plan):
    """The same CNN in both frameworks."""
    import keras
    from keras import layers
    from torch import nn

    torch_layers, keras_layers = [], [keras.Input((SIZE, SIZE, 2), dtype="float64")]
    channels, size = 2, SIZE
    for p in plan:
        kernel = min(p["kernel"], size)
        if p["padding"] == "same":
            before, after = same_padding(kernel, p["stride"], size)
            torch_layers.append(nn.ZeroPad2d((before, after, before, after)))
            size = -(-size // p["stride"])
        else:
            size = (size - kernel) // p["stride"] + 1
        torch_layers.append(
            nn.Conv2d(channels, p["filters"], kernel, stride=p["stride"], bias=p["bias"])
        )
        keras_layers.append(
            layers.Conv2D(
                p["filters"],
                kernel,
                strides=p["stride"],
                padding=p["padding"],
                use_bias=p["bias"],
                dtype="float64",
            )
        )
        channels = p["filters"]
        if p["norm"]:
            torch_layers.append(nn.BatchNorm2d(channels, eps=1e-3))
            keras_layers.append(layers.BatchNormalization(epsilon=1e-3, dtype="float64"))
    torch_layers += [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)]
    keras_layers += [
        layers.ReLU(dtype="float64"),
        layers.GlobalAveragePooling2D(dtype="float64"),
        layers.Dense(3, dtype="float64"),
    ]
    return nn.Sequential(*torch_layers).double().eval(), keras.Sequential(keras_layers)


class TorchReader:
    """Made when torch is there: a recurrent layer and a dense one, over embedded symbols."""

    def __new__(cls, cell, units, bias, bidirectional, norm):
        from torch import nn

        class Reader(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed = nn.Embedding(7, 3)
                kind = {"LSTM": nn.LSTM, "GRU": nn.GRU, "SimpleRNN": nn.RNN}[cell]
                self.read = kind(3, units, bias=bias, bidirectional=bidirectional, batch_first=True)
                width = units * (2 if bidirectional else 1)
                self.norm = nn.LayerNorm(width, eps=1e-3) if norm else nn.Identity()
                self.head = nn.Linear(width, 2)

            def forward(self, x):
                return self.head(self.norm(self.read(self.embed(x))[0]))

        return Reader().double().eval()


def keras_reader(cell, units, bias, bidirectional, norm):
    import keras
    from keras import layers

    read = getattr(layers, cell)(units, use_bias=bias, return_sequences=True, dtype="float64")
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int64"),
            layers.Embedding(7, 3, dtype="float64"),
            layers.Bidirectional(read, dtype="float64") if bidirectional else read,
            *([layers.LayerNormalization(epsilon=1e-3, dtype="float64")] if norm else []),
            layers.Dense(2, dtype="float64"),
        ]
    )


def scramble(model, seed):
    """Give every weight, biases and statistics too, a value of its own."""
    rng = np.random.default_rng(seed)
    values = {
        name: rng.uniform(0.5, 1.5, v.shape)
        if name.endswith(("gamma", "variance"))
        else rng.normal(0, 0.5, v.shape)
        for name, v in twins.weights(model).items()
    }
    twins.set_weights(model, values)
    return values


def check_there_and_back(torch_net, keras_net, torch_input, keras_input, seed):
    values = scramble(torch_net, seed)
    twins.set_weights(keras_net, twins.weights(torch_net))
    ours = torch_net(torch_input).detach().numpy()
    theirs = np.asarray(keras_net(keras_input, training=False))
    assert np.abs(ours - theirs).max() < BOUND
    twins.set_weights(torch_net, twins.weights(keras_net))
    for name, value in twins.weights(torch_net).items():
        assert np.array_equal(value, values[name]), name
    assert np.array_equal(torch_net(torch_input).detach().numpy(), ours)


@FEW
@given(plan=convolutions, seed=st.integers(0, 99))
def test_cnns(plan, seed):
    import torch

    torch_net, keras_net = cnns(plan)
    x = np.random.default_rng(seed).standard_normal((2, SIZE, SIZE, 2))
    check_there_and_back(torch_net, keras_net, torch.from_numpy(x).permute(0, 3, 1, 2), x, seed)


@FEW
@given(
    cell=st.sampled_from(["LSTM", "GRU", "SimpleRNN"]),
    units=st.integers(1, 4),
    bias=st.booleans(),
    bidirectional=st.booleans(),
    norm=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rnns(cell, units, bias, bidirectional, norm, seed):
    import torch

    plan = (cell, units, bias, bidirectional, norm)
    torch_net, keras_net = TorchReader(*plan), keras_reader(*plan)
    x = np.random.default_rng(seed).integers(0, 7, (3, 5))
    check_there_and_back(torch_net, keras_net, torch.from_numpy(x), x, seed)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("nn.LSTM(2, 3, num_layers=2)", "LSTM with num_layers=2"),
        ("nn.LSTM(2, 3, proj_size=1)", "LSTM with proj_size=1"),
        ("nn.RNN(2, 3, nonlinearity='relu')", "RNN with nonlinearity='relu'"),
        ("nn.Conv2d(2, 2, 3, groups=2)", "Conv2d with groups=2"),
        ("nn.LayerNorm((2, 3))", r"LayerNorm with normalized_shape=\(2, 3\)"),
        ("nn.MultiheadAttention(4, 2)", "MultiheadAttention"),
    ],
)
def test_what_cannot_be_converted_from_torch_is_named(layer, words):
    from torch import nn

    with pytest.raises(twins.UnknownLayerError, match=f"no conversion for {words}"):
        twins.weights(eval(layer, {"nn": nn}))


def test_what_cannot_be_converted_from_keras_is_named():
    import keras

    old = keras.Sequential([keras.Input((3, 2)), keras.layers.GRU(2, reset_after=False, name="g")])
    with pytest.raises(twins.UnknownLayerError, match=r"layer 'g': .* GRU, reset_after=False"):
        twins.weights(old)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("layers.SimpleRNN(2, activation='relu')", "SimpleRNN with activation='relu'"),
        ("layers.LSTM(2, go_backwards=True)", "LSTM with go_backwards=True"),
        ("layers.Bidirectional(layers.GRU(2), merge_mode='sum')", "with merge_mode='sum'"),
        ("layers.LayerNormalization(axis=[1, 2])", "with axis="),
        ("layers.Conv1D(2, 2, groups=2)", "Conv1D with groups=2"),
    ],
)
def test_keras_layers_without_a_counterpart_are_named(layer, words):
    import keras

    made = eval(layer, {"layers": keras.layers})
    net = keras.Sequential([keras.Input((3, 2)), made])
    with pytest.raises(twins.UnknownLayerError, match=words):
        twins.weights(net)


def test_nested_models_are_read_through():
    import keras

    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    outer = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(1)])
    assert list(twins.weights(outer)) == [
        "0.dense.kernel",
        "0.dense.bias",
        "1.dense.kernel",
        "1.dense.bias",
    ]
