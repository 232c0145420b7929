// Holds the network and answers the page's questions one by one, so that the page stays awake while
// a step is computed.
import { load, pictures } from "./data.js";
import { Network, softmax } from "./net.js";

let data, network, done;

const answers = {
  // Fetches the data, once, and puts the first weights into a new network.
  async begin({ address }) {
    data ??= await load(address);
    network = new Network(data.facts, data.weights);
    done = 0;
    const { facts: { training, losses, accuracy, bound, size }, labels, images } = data;
    return { training, losses, accuracy, bound, size, labels, images };
  },
  step() {
    const { size } = data.facts, batch = data.order.subarray(done * size, (done + 1) * size);
    done += 1;
    return network.step(pictures(data, batch), Array.from(batch, (i) => data.labels[i]));
  },
  // The probabilities of one picture.
  read({ picture }) {
    return softmax(network.scores(Float64Array.from(picture), 1));
  },
  // The scores of all test pictures, one after another.
  test() {
    const { training, size } = data.facts, found = [];
    for (let from = training; from < data.labels.length; from += size) {
      const count = Math.min(size, data.labels.length - from);
      const indices = Array.from({ length: count }, (_, i) => from + i);
      found.push(...network.scores(pictures(data, indices), count));
    }
    return found;
  },
  weights: () => Array.from(network.weights),
};

onmessage = async ({ data: { id, question, ...rest } }) => {
  try {
    postMessage({ id, answer: await answers[question](rest) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
