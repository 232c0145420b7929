"""Train a small ResNet on pictures with Keras."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from keras import layers, ops
from shared import Run, add_devices, batches, pictures, pictures_parser, start
from shared_keras import (
    Feed,
    Keep,
    Learner,
    Seeds,
    Triangle,
    copies,
    device,
    even,
    prepare,
    strategy,
)

from labkit import twins


def block(x, width):
    """Apply convolution, batch normalization, ReLU."""
    x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.875, synchronized=copies() > 1)(x)
    return layers.ReLU()(x)


def residual(x):
    """Apply two blocks beside a way past them."""
    width = x.shape[-1]
    return layers.Add()([x, block(block(x, width), width)])


def resnet(shape, width, classes):
    """Return the nine-layer ResNet of D. Page, "How to train your ResNet", 2018."""
    x = inputs = keras.Input(shape)
    x = block(x, width)
    x = layers.MaxPooling2D()(block(x, 2 * width))
    x = residual(x)
    x = layers.MaxPooling2D()(block(x, 4 * width))
    x = layers.MaxPooling2D()(block(x, 8 * width))
    x = residual(x)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(classes, use_bias=False)(x)
    # What the loss is made of has 32 bits or more.
    x = layers.Rescaling(1 / 8, dtype=keras.config.floatx())(x)
    return keras.Model(inputs, x)


class Augment(layers.Layer):
    """Moves each picture by up to an eighth of its height, and mirrors half, in training."""

    def __init__(self, seed):
        super().__init__()
        self.drawn = Seeds(seed)

    def call(self, x, training=False):
        if not training:
            return x
        count = ops.shape(x)[0]
        height, width = x.shape[1:3]
        far = height // 8
        rows, columns = (
            keras.random.randint((count, 1), 0, 2 * far + 1, seed=self.drawn)
            + ops.arange(side, dtype="int32")
            for side in (height, width)
        )
        mirrored = keras.random.uniform((count, 1), seed=self.drawn) < 0.5
        columns = ops.where(mirrored, ops.flip(columns, 1), columns)
        x = ops.pad(x, ((0, 0), (far, far), (far, far), (0, 0)), mode="reflect")
        x = ops.take_along_axis(x, rows[:, :, None, None], axis=1)
        return ops.take_along_axis(x, columns[:, None, :, None], axis=2)


class SGD(keras.optimizers.SGD):
    """As PyTorch has it: the velocity is of gradients, not of steps, and the decay is in it.

    Keras' own keeps steps of earlier, higher rates in its velocity when the rate falls.
    """

    def __init__(self, *args, decay, **kwargs):
        super().__init__(*args, **kwargs)
        self.decay = decay

    def update_step(self, gradient, variable, learning_rate):
        gradient, rate = (ops.cast(v, variable.dtype) for v in (gradient, learning_rate))
        if len(variable.shape) > 1:
            gradient = gradient + self.decay * variable
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign(velocity, self.momentum * velocity + gradient)
            gradient = gradient + self.momentum * velocity
        self.assign_sub(variable, rate * gradient)


def main():
    parser = pictures_parser(__doc__)
    add_devices(parser)
    args = parser.parse_args()
    dtype = prepare(args)
    scope = strategy(args)
    found = pictures(args.data, args.size, dtype)
    count, *shape = found.train[0].shape
    steps = args.steps or args.epochs * (count // args.batch)
    order = batches(count, args.batch, steps, args.seed)
    run = Run(args, steps, found.train)
    with scope:
        net = resnet(shape, args.width, len(found.classes))
        twins.first_weights(net, args.seed)
        inputs = keras.Input(shape)
        model = Learner(inputs, net(Augment(args.seed)(inputs) if args.augment else inputs))
        momentum = {"momentum": args.momentum, "decay": args.weight_decay}
        model.compile(
            SGD(Triangle(args.rate, steps, steps // 5), **momentum),
            keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=args.smooth),
            metrics=["accuracy"],
            jit_compile=args.compile,
        )
        keep = Keep(run, model)
    run.restore("checkpoint.npz", keep.load)
    (x, y), (x_test, y_test) = (
        (images, keras.utils.to_categorical(labels, len(found.classes)).astype(dtype))
        for images, labels in (found.train, found.test)
    )
    if run.step < steps:
        rest = Feed(x, y)(order[run.step :])
        model.fit(rest, shuffle=False, callbacks=[keep], verbose=0)
    seconds = run.seconds
    if args.flips:
        scores = sum(net.predict(images, 1000, 0) for images in (x_test, x_test[:, :, ::-1]))
        accuracy = float((scores.argmax(1) == found.test[1]).mean())
    else:
        size = even(len(x_test), 1000, args.devices)
        accuracy = model.evaluate(x_test, y_test, size, 0, return_dict=True)["accuracy"]
    keep.scalar("accuracy", accuracy)
    with run.writing("model.keras") as file:
        net.save(file)
    run.finish(device(), args.batch, "images", seconds, accuracy=accuracy)


if __name__ == "__main__":
    start(main)
