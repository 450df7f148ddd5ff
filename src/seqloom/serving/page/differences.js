// Compares two texts.

// Returns the words of both texts, each with whether it is missing in the other: their longest common subsequence.
export function differences(one, two) {
  const [a, b] = [one, two].map((each) => each.match(/\s+|[^\s]+/g) || []);
  if (a.length * b.length > 1e6) return [a.map((word) => [word, false]), b.map((word) => [word, false])];
  const common = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const found = [[], []];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found[0].push([a[i++], false]);
      found[1].push([b[j++], false]);
    } else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) {
      found[0].push([a[i], a[i++].trim() !== ""]);
    } else {
      found[1].push([b[j], b[j++].trim() !== ""]);
    }
  }
  return found;
}
