// The graph that is read and the nodes that are written: the same for every engine.

export const TYPE = 'KNOWS';
export const NAMES = ['name', 'age', 'score', 'city', 'active'];

/** The node with a number, with the first so many of its properties. */
export function nodeOf(n, key, count = NAMES.length) {
  const props = { name: `person ${n}`, age: n % 90, score: n + 0.5 };
  if (count > 3) Object.assign(props, { city: `city ${n % 100}`, active: n % 2 === 0 });
  return { key, props };
}

export const keyOf = (n) => `user:${n}`;

/** Numbers that look like chance and are the same in every run. */
export function* numbersBelow(limit, seed = 1) {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield Math.floor((state / 4294967296) * limit);
  }
}

/** So many nodes, each with edges to so many others, none twice to the same. */
export function graphOf(nodes, degree) {
  const numbers = numbersBelow(nodes);
  const edges = [];
  for (let src = 0; src < nodes; src++) {
    const others = new Set();
    while (others.size < degree) {
      const other = numbers.next().value;
      if (other !== src) others.add(other);
    }
    for (const dst of others) edges.push([src, dst]);
  }
  return { nodes: Array.from({ length: nodes }, (_, n) => nodeOf(n, keyOf(n))), edges };
}

/** So many of the nodes, in an order that looks like chance. */
export function some(graph, count, seed) {
  const numbers = numbersBelow(graph.nodes.length, seed);
  return Array.from({ length: count }, () => numbers.next().value);
}
