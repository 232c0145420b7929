"""Train LSTMs to write a text, one character after the other, with Keras."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import math

import keras
import numpy as np
from keras import layers, ops
from shared import Run, add_devices, batches, begun, start, text, text_parser
from shared_keras import (
    Feed,
    Keep,
    Learner,
    Seeds,
    Triangle,
    copies,
    dense,
    device,
    even,
    prepare,
    strategy,
    total,
)


def network(letters, args, batch=None):
    """Return an embedding, LSTMs one above the other, and a score for each character.

    With `batch`, the LSTMs keep their states from call to call.
    """
    x = inputs = keras.Input((None,), batch, dtype="int32")
    x = layers.Embedding(letters, 32)(x)
    for place in range(args.layers):
        x = layers.LSTM(args.width, return_sequences=True, stateful=batch is not None)(x)
        dropout = layers.Dropout(args.dropout, seed=args.seed + place)
        if args.dropout:
            dropout.seed_generator.__class__ = Seeds  # the layer takes no other generator
        x = dropout(x)
    x = layers.Dense(letters)(x)
    # What the loss is made of has 32 bits or more.
    x = layers.Activation("linear", dtype=keras.config.floatx())(x)
    return Learner(inputs, x)


class AdamW(keras.optimizers.AdamW):
    """Clips as PyTorch does, and moves an embedding as any other weight.

    TensorFlow's gradient of an embedding is sparse, with an entry for each time that a row was
    used. Keras squares these one by one, in the norm to clip by and in Adam.
    """

    def __init__(self, *args, clip, **kwargs):
        super().__init__(*args, **kwargs)
        self.clip = clip

    def apply(self, grads, trainable_variables=None):
        grads = total([dense(gradient) for gradient in grads])
        norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in grads))
        factor = ops.minimum(self.clip / (norm + 1e-6), 1)
        # Keras adds up over the devices, after clipping.
        share = factor / copies()
        super().apply([gradient * share for gradient in grads], trainable_variables)


def write(model, count, alphabet, args):
    """Write some characters, each drawn as the network expects it."""
    reader = network(len(alphabet), args, batch=1)
    reader.set_weights(model.get_weights())
    rng, code, written = np.random.default_rng(args.seed), 0, ""
    for _ in range(count):
        scores = ops.convert_to_numpy(reader(np.array([[code]])))[0, 0].astype("float64")
        odds = np.exp(scores - scores.max())
        code = rng.choice(len(alphabet), p=odds / odds.sum())
        written += alphabet[code]
    return written


def main():
    parser = text_parser(__doc__)
    add_devices(parser)
    args = parser.parse_args()
    prepare(args)
    scope = strategy(args)
    found = text(args.data, args.length)
    order = batches(len(found.train), args.batch, args.steps, args.seed)
    run = Run(args, args.steps, found.train)
    with scope:
        model = network(len(found.alphabet), args)
        begun(model, args)
        optimizer = AdamW(
            Triangle(args.rate, args.steps, args.steps // 10),
            weight_decay=args.weight_decay,
            beta_1=0.875,
            beta_2=0.9921875,
            # The frameworks add it at different places: this small, float64 does not see it.
            epsilon=1e-30 if args.precision == "float64" else 1e-8,
            clip=args.clip,
        )
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        model.compile(
            optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        keep = Keep(run, model)
    run.restore("checkpoint.npz", keep.load)
    if run.step < args.steps:
        rest = Feed(found.train[:, :-1], found.train[:, 1:])(order[run.step :])
        model.fit(rest, shuffle=False, callbacks=[keep], verbose=0)
    seconds = run.seconds
    test, size = found.test, even(len(found.test), 100, args.devices)
    loss = model.evaluate(test[:, :-1], test[:, 1:], size, 0, return_dict=True)["loss"]
    bits = loss / math.log(2)
    keep.scalar("bits_per_character", bits)
    with run.writing("model.keras") as file:
        keras.Model(model.input, model.output).save(file)
    sample = write(model, args.sample, found.alphabet, args)
    read = args.batch * args.length
    run.finish(device(), read, "characters", seconds, bits_per_character=bits, sample=sample)


if __name__ == "__main__":
    start(main)
