// What a training needs, fetched from the book's own files: see `files` in labkit/press/third.py.

const KINDS = { weights: Float64Array, order: Uint16Array, images: Uint8Array, labels: Uint8Array };

// `address` ends where .json and .bin follow.
export async function load(address) {
  const answers = await Promise.all([fetch(`${address}.json`), fetch(`${address}.bin`)]);
  const missing = answers.find((answer) => !answer.ok);
  if (missing) throw new Error(`${missing.url} cannot be loaded (${missing.status})`);
  const facts = await answers[0].json();
  return { facts, ...cut(facts.arrays, await answers[1].arrayBuffer()) };
}

function cut(lengths, bytes) {
  const found = {};
  let at = 0;
  for (const [name, length] of Object.entries(lengths)) {
    found[name] = new KINDS[name](bytes, at, length);
    at += found[name].byteLength;
  }
  return found;
}

// The pictures of some indices, one after another, grey from 0 to 1 as the notebooks have it.
export function pictures({ images }, indices, points = 64) {
  const x = new Float64Array(indices.length * points);
  indices.forEach((index, n) => {
    for (let i = 0; i < points; i++) x[n * points + i] = images[index * points + i] / 16;
  });
  return x;
}
