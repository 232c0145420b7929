// How well two losses agree, as numbers and as words.

const SURE = 15; // decimal digits that float64 holds for certain

// The difference of two losses as a part of their size.
export function apart(a, b) {
  return a === b ? 0 : Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b));
}

// How many significant digits agree: a difference of one part in 10ⁿ leaves n of them.
export function digits(a, b) {
  const gap = apart(a, b);
  if (Number.isNaN(gap)) return 0;
  return gap === 0 ? SURE : Math.max(0, Math.min(SURE, Math.floor(-Math.log10(gap))));
}

// A number's digits, cut into those that another has in the same places, and the rest.
export function shared(value, other) {
  const [ours, theirs] = [value, other].map((n) => n.toFixed(SURE));
  let same = 0;
  while (same < ours.length && ours[same] === theirs[same]) same += 1;
  return [ours.slice(0, same), ours.slice(same)];
}
