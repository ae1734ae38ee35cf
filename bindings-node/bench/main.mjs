// What @kitedb/core takes beside what others use in its place, and beside the engine that it wraps: all in one run, taking turns.
//
//     cd bindings-node/bench && npm ci && node --expose-gc main.mjs
//
//   --quick       small and short: that it runs, not what it measures
//   --release     optimised, and not as it is shipped, which takes minutes
//   --only ROWS   these rows, by their names, with commas
//   --json FILE   the figures, for programs
//   --dir DIR     where the databases are made, on the file system that is to be measured     [a folder in the system's]
//
// Reads and batches are told in time of processors, all threads together, which other load on the machine leaves as it is; commits,
// which wait for the disk, in time. A ratio is KiteDB's time over the other's, the median over rounds of what was measured in the same round.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { graphOf, some } from './graph.mjs';

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, release: { type: 'boolean', default: false }, only: { type: 'string' }, json: { type: 'string' }, dir: { type: 'string', default: tmpdir() } },
});
const { quick } = given;
const profile = quick ? 'dev' : given.release ? 'release' : 'dist';

// Before it is loaded: what is measured is what is there now.
execFileSync(process.execPath, [new URL('../scripts/build.mjs', import.meta.url).pathname, ...(quick ? ['--quick'] : given.release ? ['--release'] : [])], { stdio: ['ignore', 'ignore', 'inherit'] });
const { engineBuilt } = await import('./engine.mjs');
const { default: kitedb } = await import('./kitedb.mjs');
const { loopHold } = await import('./loop.mjs');
const { cpuNanosOf, rounds, nanosOf } = await import('./rounds.mjs');
const { peers } = await import('./sqlite.mjs');

const others = await peers();
const engine = engineBuilt(profile);
mkdirSync(given.dir, { recursive: true });
const dir = mkdtempSync(join(given.dir, 'kitedb-node-bench-'));
const DEGREE = 20;
const graph = graphOf(quick ? 2000 : 10_000, DEGREE);
const count = quick ? 2 : 15;

/** A row of reads: the same nodes for all, other ones in each round; all must find the same. */
async function reads(opened, method, nodes, unitsOfEach) {
  const found = new Map();
  const contenders = opened.map(({ name, reads }) => {
    let round = 0;
    return {
      name,
      async run() {
        const of = some(graph, nodes, round++);
        let sum;
        const nanos = await cpuNanosOf(() => (sum = reads[method](of)));
        const key = `${round}`;
        if (found.has(key) && found.get(key) !== sum) throw new Error(`${name} found ${sum} in ${method}, and not ${found.get(key)}`);
        found.set(key, sum);
        return nanos;
      },
    };
  });
  return rounds(count, nodes * unitsOfEach, contenders);
}

/** Rows by name: what is measured of what, the target, and how. */
const ROWS = {
  byKey: ['a node by its key, with 3 properties', 'better-sqlite3', 0.25, (open) => reads(open.reads, 'byKey', quick ? 500 : 50_000, 1)],
  neighbors: ['a neighbour with 1 property, of 20', 'better-sqlite3', 0.25, (open) => reads(open.reads, 'neighbors', quick ? 50 : 5000, DEGREE)],
  twoHops: ['an end of 2 hops, of 400', 'better-sqlite3', 0.3, (open) => reads(open.reads, 'twoHops', quick ? 10 : 500, DEGREE * DEGREE)],
  commits: ['a durable commit of 1 node, one after another', engine.name, 1.1, (open) => commits(open.full, quick ? 20 : 1000)],
  awaited: ['a durable commit of 1 node, 1,000 awaited together', 'one after another', 1 / 3, (open) => awaited(open.full, 1000)],
  batches: ['a batch of 1,000 nodes with 5 properties', engine.name, 2, (open) => batches(open.normal, quick ? 2 : 20)],
};

function commits(opened, nodes) {
  return rounds(
    count,
    nodes,
    opened.map(({ name, writes }) => ({
      name,
      run: () => writes.nanosOfCommits?.(nodes) ?? nanosOf(() => writes.commits(nodes)),
    })),
  );
}

function awaited(opened, nodes) {
  const { writes } = opened[0];
  return rounds(count, nodes, [
    { name: kitedb.name, run: () => nanosOf(() => writes.commitsAwaited(nodes)) },
    { name: 'one after another', run: () => nanosOf(() => writes.commits(nodes)) },
  ]);
}

function batches(opened, many) {
  return rounds(
    count,
    many,
    opened.map(({ name, writes }) => ({
      name,
      run: () => writes.nanosOfBatches?.(many) ?? cpuNanosOf(() => writes.batches(many)),
    })),
  );
}

function time(nanos) {
  const [unit, of] = nanos < 999.5 ? ['ns', 1] : nanos < 999_500 ? ['µs', 1e3] : ['ms', 1e6];
  const value = nanos / of;
  return `${value < 999.5 ? value.toPrecision(3) : Math.round(value)} ${unit}`;
}

function table(lines) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) => line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  ')).join('\n');
}

const only = given.only?.split(',');
const asked = (name) => only === undefined || only.includes(name);
const unknown = (only ?? []).filter((name) => !(name in ROWS) && name !== 'loop');
if (unknown.length > 0) throw new Error(`no row ${unknown.join()}: ${Object.keys(ROWS).join(', ')}, loop`);
const results = {
  machine: `${cpus().length} × ${cpus()[0].model}, Linux ${release()}, Node ${process.version}`,
  versions: Object.fromEntries([kitedb, ...others].map(({ name, version }) => [name, version()])),
  built: { dev: 'as for tests', release: 'optimised', dist: 'as shipped' }[profile],
  rounds: count,
  rows: {},
};
try {
  const opened = {};
  if (asked('byKey') || asked('neighbors') || asked('twoHops')) {
    opened.reads = [kitedb, ...others].map((one) => ({ name: one.name, reads: one.reads(dir, graph) }));
  }
  if (asked('commits') || asked('awaited')) opened.full = [kitedb, engine, ...others].map((one) => ({ name: one.name, writes: one.writes(dir, 'full') }));
  if (asked('batches')) opened.normal = [kitedb, engine, ...others].map((one) => ({ name: one.name, writes: one.writes(dir, 'normal') }));

  const lines = [['', 'median', 'KiteDB beside it', 'lowest', 'highest', 'bound']];
  for (const [name, [what, against, bound, measure]] of Object.entries(ROWS)) {
    if (!asked(name)) continue;
    const measured = await measure(opened);
    results.rows[name] = { what, against, bound, measured };
    measured.forEach(({ name, nanos, ratio, lowest, highest }, nth) => {
      const told = nth === 0 ? ['', '', ''] : [ratio, lowest, highest].map((ratio) => ratio.toFixed(2));
      lines.push([`${nth === 0 ? what : ''}${nth === 0 ? ': ' : '  '}${name}`, time(nanos), ...told, name === against ? bound.toFixed(2) : '']);
    });
    process.stderr.write(`${name} `);
  }
  process.stderr.write('\n');
  for (const { reads, writes } of Object.values(opened).flat()) await (reads ?? writes).close();

  if (lines.length > 1) console.log(table(lines));
  if (asked('loop')) {
    const hold = await loopHold(join(dir, 'loop.kitedb'), count, quick ? 2000 : 20_000);
    results.rows.loop = { what: 'the longest hold of the event loop, ms', bound: 5, measured: hold };
    const ms = (value) => `${value.toFixed(2)} ms`;
    console.log(
      table([
        ['the event loop, beside 1,000 commits in flight and a checkpoint', 'median', 'most'],
        ['its longest hold in a round', ms(hold.held.median), ms(hold.held.most)],
        ['the same with nothing to do', ms(hold.idle.median), ms(hold.idle.most)],
        ...Object.entries(hold.calls).map(([name, { median, most }]) => [`the longest ${name}`, ms(median), ms(most)]),
      ]),
    );
  }
  if (given.json !== undefined) writeFileSync(given.json, `${JSON.stringify(results, null, 2)}\n`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
