"""What the training programs in Keras beside this file share.

With `--devices`, a program trains on several: each has a copy of the network and takes its part of
every batch, and gradients are added up.
"""

import contextlib
import json

import keras
import numpy as np
from keras import ops
from shared import RefusedError, triangle

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf


def prepare(args):
    """Set seed and precision; return the type of weights."""
    keras.utils.set_random_seed(args.seed)
    mixed = args.precision.endswith("16")
    keras.config.set_floatx("float32" if mixed else args.precision)
    keras.config.set_dtype_policy(f"mixed_{args.precision}" if mixed else args.precision)
    if args.precision == "float64" and BACKEND == "tensorflow":
        tf.config.experimental.enable_op_determinism()  # to the last digit, on a GPU too
    return keras.config.floatx()


def strategy(args):
    """Return what lays a network's copies on the devices."""
    count = args.devices
    if count == 1:
        return contextlib.nullcontext()
    if BACKEND != "tensorflow":
        raise RefusedError(f"--devices {count} needs Keras on TensorFlow, not on {BACKEND}")
    if args.batch % count:
        raise RefusedError(f"--batch {args.batch} is not to be shared equally by {count} devices")
    kind = "GPU" if (found := tf.config.list_physical_devices("GPU")) else "CPU"
    if kind == "CPU":
        [cpu] = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(cpu, parts)
    elif count > len(found):
        raise RefusedError(f"--devices {count}: here are {len(found)} GPUs")
    return tf.distribute.MirroredStrategy([f"{kind}:{place}" for place in range(count)]).scope()


def copies():
    """Return on how many devices there are copies of the network."""
    if BACKEND != "tensorflow":
        return 1
    return tf.distribute.get_strategy().num_replicas_in_sync


def total(gradients):
    """Return the sums of gradients over the devices."""
    if copies() == 1:
        return gradients
    return tf.distribute.get_replica_context().all_reduce("SUM", gradients)


def even(count, most, devices):
    """Return a size of batches of which the first is shared equally by the devices.

    With that one Keras builds, and with 179 and 178 of 357 it fails (3.15).
    """
    return min(count, most) // devices * devices


class Seeds(keras.random.SeedGenerator):
    """Draws other numbers on each device; Keras' own draws the same on all."""

    def next(self, ordered=True):
        seed = super().next(ordered)
        if copies() > 1:
            place = tf.distribute.get_replica_context().replica_id_in_sync_group
            seed = seed + tf.cast([place, 0], seed.dtype)
        return seed


def device():
    """Return what PyTorch would call the device."""
    if BACKEND == "torch":  # where Keras lists no devices
        return ops.zeros(1).device.type
    others = [name for name in keras.distribution.list_devices() if "cpu" not in name.lower()]
    return "cuda" if others else "cpu"


def dense(gradient):
    """Return a gradient as a tensor; `ops.convert_to_tensor` leaves it sparse."""
    return tf.convert_to_tensor(gradient) if BACKEND == "tensorflow" else gradient


class Feed:
    """Gives `fit` the batches that it is told, through tf.data where that is there."""

    def __init__(self, *arrays):
        self.arrays = arrays
        if BACKEND == "tensorflow":
            with tf.device("CPU"):
                self.arrays = [tf.constant(array) for array in arrays]

    def __call__(self, order):
        """Return a dataset of batches; `order` says which examples are in each."""
        if BACKEND != "tensorflow":
            return Batches(order, self.arrays)

        def gather(batch):
            return tuple(tf.gather(array, batch) for array in self.arrays)

        indices = tf.data.Dataset.from_tensor_slices(np.stack(order))
        return indices.map(gather, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


class Batches(keras.utils.PyDataset):
    """The same for any backend."""

    def __init__(self, order, arrays):
        super().__init__()
        self.order, self.arrays = order, arrays

    def __len__(self):
        return len(self.order)

    def __getitem__(self, step):
        return tuple(array[self.order[step]] for array in self.arrays)


class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """Up in a line, and down to nothing."""

    def __init__(self, rate, steps, warm):
        self.rate, self.steps, self.warm = rate, steps, max(1, warm)

    def __call__(self, step):
        step = ops.cast(step, keras.config.floatx())
        return self.rate * triangle(step, self.steps, self.warm, ops.minimum)


class Learner(keras.Model):
    """Tells each batch's own loss; `fit` tells the mean of the losses so far."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.latest = keras.metrics.Sum("latest")

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        self.latest.reset_state()
        self.latest.update_state(loss * copies())  # Keras tells the mean over the devices
        return loss


class Keep(keras.callbacks.Callback):
    """Writes losses, events and checkpoints."""

    def __init__(self, run, model):
        super().__init__()
        self.run = run
        self.set_model(model)
        model.optimizer.build(model.trainable_variables)
        self.board = None
        if BACKEND == "tensorflow":
            self.board = tf.summary.create_file_writer(str(run.folder))

    def on_train_batch_end(self, batch, logs=None):
        self.run.note(self.run.step + 1, logs["latest"])
        if self.run.step % 10 == 0:
            self.scalar("loss", logs["latest"])
        if self.run.due():
            self.save()
            self.run.leave_if_told()

    def scalar(self, name, value):
        """Show a number in TensorBoard."""
        if self.board:
            with self.board.as_default():
                tf.summary.scalar(name, value, self.run.step)

    def variables(self):
        """Return what the rest of the training depends on.

        Seeds of layers are among it: `save_weights`, and so BackupAndRestore, leave them out.
        """
        metrics = {id(v) for metric in self.model.metrics for v in metric.variables}
        own = [v for v in self.model.variables if id(v) not in metrics]
        return [*own, *self.model.optimizer.variables]

    def save(self):
        """Write a checkpoint."""
        if BACKEND == "jax":
            self.model.jax_state_sync()
        arrays = [ops.convert_to_numpy(v) for v in self.variables()]
        progress = json.dumps(self.run.progress())
        with self.run.writing("checkpoint.npz") as path, path.open("wb") as file:
            np.savez(file, *arrays, progress=progress)

    def load(self, path):
        """Take over what `save` wrote."""
        variables = self.variables()
        with np.load(path) as file:
            arrays = [file[f"arr_{place}"] for place in range(len(file.files) - 1)]
            progress = json.loads(str(file["progress"]))
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return progress
