import numpy as np
import pytest

from labkit import twins

pytestmark = pytest.mark.engine


def torch_net():
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 5), padding="same"),
        nn.BatchNorm2d(4, eps=1e-3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3, bias=False),
    ).double()


def keras_net():
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((8, 6, 2), dtype="float64"),
            layers.Conv2D(4, (3, 5), padding="same", dtype="float64"),
            layers.BatchNormalization(epsilon=1e-3, dtype="float64"),
            layers.ReLU(dtype="float64"),
            layers.GlobalAveragePooling2D(dtype="float64"),
            layers.Dense(3, use_bias=False, dtype="float64"),
        ]
    )


def test_the_same_weights_give_the_same_outputs():
    import torch

    first, second = torch_net().eval(), keras_net()
    values = twins.first_weights(first, seed=3)
    assert list(values) == [
        "0.conv.kernel",
        "0.conv.bias",
        "1.batchnorm.gamma",
        "1.batchnorm.beta",
        "1.batchnorm.mean",
        "1.batchnorm.variance",
        "2.dense.kernel",
    ]
    rng = np.random.default_rng(0)
    values = {k: v + rng.uniform(0.1, 0.2, v.shape) for k, v in values.items()}
    twins.set_weights(first, values)
    twins.set_weights(second, values)
    x = rng.standard_normal((5, 8, 6, 2))
    ours = first(torch.from_numpy(x).permute(0, 3, 1, 2)).detach().numpy()
    theirs = second(x, training=False).numpy()
    assert np.abs(ours - theirs).max() < 1e-14
    for name, value in twins.weights(second).items():
        assert np.array_equal(value, values[name])
    for name, value in twins.weights(first).items():
        assert np.array_equal(value, values[name])


def test_first_weights_are_the_same_in_both():
    a, b = twins.first_weights(torch_net(), seed=1), twins.first_weights(keras_net(), seed=1)
    assert list(a) == list(b)
    assert all(np.array_equal(a[k], b[k]) for k in a)
    other = twins.first_weights(torch_net(), seed=2)
    assert not np.array_equal(a["0.conv.kernel"], other["0.conv.kernel"])


def test_first_weights_have_the_stated_spread():
    from torch import nn

    kernel = twins.first_weights(nn.Linear(400, 300))["0.dense.kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)


def test_weights_that_do_not_fit_change_nothing():
    net = torch_net()
    before = twins.weights(net)
    wrong = {**before, "0.conv.bias": np.zeros(9)}
    with pytest.raises(ValueError, match=r"0\.conv\.bias: the model holds shape \(4,\)"):
        twins.set_weights(net, wrong)
    with pytest.raises(ValueError, match=r"2\.dense\.kernel'\], those given are \["):
        twins.set_weights(net, {k: v for k, v in before.items() if "dense" not in k})
    after = twins.weights(net)
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_unknown_layers_are_named():
    import keras
    from torch import nn

    with pytest.raises(twins.UnknownLayerError, match="layer '1': no conversion for Bilinear"):
        twins.weights(nn.Sequential(nn.Linear(2, 2), nn.Bilinear(2, 2, 2)))
    net = keras.Sequential([keras.Input((3,)), keras.layers.PReLU(name="odd")])
    with pytest.raises(twins.UnknownLayerError, match="layer 'odd': no conversion for PReLU"):
        twins.weights(net)
    with pytest.raises(ValueError, match="is not built"):
        twins.first_weights(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(TypeError, match="list is neither"):
        twins.weights([])


def test_batches_use_each_example_once_an_epoch():
    all_of_them = list(twins.batches(10, 4, epochs=2, seed=5))
    assert [len(b) for b in all_of_them] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(all_of_them[:3]), np.concatenate(all_of_them[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert not np.array_equal(first, second)
    again = list(twins.batches(10, 4, epochs=2, seed=5))
    assert all(np.array_equal(a, b) for a, b in zip(all_of_them, again, strict=True))
    with pytest.raises(ValueError, match="no batches of 0"):
        next(twins.batches(10, 0, 1))


def test_compare():
    assert twins.compare([3, 2, 1], [3, 2.5, 1]) == (0.5, 1)
    with pytest.raises(ValueError, match="3 and 2 steps"):
        twins.compare([3, 2, 1], [3, 2])
    with pytest.raises(ValueError, match="diverged"):
        twins.compare([3, float("nan")], [3, 2])
    with pytest.raises(ValueError, match="0 and 0"):
        twins.compare([], [])


@pytest.fixture
def fresh_orders(monkeypatch):
    monkeypatch.setattr(twins, "_orders", set())


def train(**arguments):
    for _ in twins.batches(**{"count": 100, "size": 8, "epochs": 2, **arguments}):
        pass
    return twins.orders()


def test_orders_tell_another_shuffle_and_nothing_else(fresh_orders):
    first = train()
    assert len(first) == 1
    assert train() == first  # once more is no other order
    for other in ({"seed": 1}, {"size": 10}, {"count": 99}, {"epochs": 3}):
        assert len(train(**other)) == len(first) + 1
        twins._orders.intersection_update(first)
    assert all(number < 2**53 for number in first)  # a float64 holds it


def test_a_training_that_stops_early_is_another_order(fresh_orders):
    whole = train()
    some = twins.batches(100, 8, 2)
    next(some)
    some.close()
    assert len(twins.orders()) == len(whole) + 1
