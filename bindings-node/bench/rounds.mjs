// Measures things beside each other: they take turns, and what is compared was measured in the same round.

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Collects what nobody has any more, so that each pays for its own, and lets that end: the collector marks and sweeps on threads of its
 * own, whose time would count for whoever comes next.
 */
async function collected() {
  globalThis.gc?.();
  await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Runs `f`, which waits for nothing, and returns the nanoseconds of processors that this process took: other load is not in it. */
export async function cpuNanosOf(f) {
  await collected();
  const began = process.cpuUsage();
  f();
  const { user, system } = process.cpuUsage(began);
  return (user + system) * 1000;
}

/** Runs `f` and returns the nanoseconds that it took. */
export async function nanosOf(f) {
  await collected();
  const began = process.hrtime.bigint();
  await f();
  return Number(process.hrtime.bigint() - began);
}

/**
 * So many rounds of all `contenders`, each `{ name, run }` with `run` giving the nanoseconds of a round's work, which is `units`
 * units; who begins, changes. Returns of each the median of a unit, and the median of its ratio to the first one in each round.
 */
export async function rounds(count, units, contenders) {
  for (const { run } of contenders) await run();
  const took = contenders.map(() => []);
  for (let round = 0; round < count; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const nth = (round + turn) % contenders.length;
      took[nth].push((await contenders[nth].run()) / units);
    }
  }
  return contenders.map(({ name }, nth) => {
    const ratios = took[0].map((own, round) => own / took[nth][round]);
    return { name, nanos: median(took[nth]), ratio: median(ratios), lowest: Math.min(...ratios), highest: Math.max(...ratios) };
  });
}
