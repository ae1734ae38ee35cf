// How long the event loop is held by calls that do not block: a timer beside commits in flight and a checkpoint.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Database } from '../index.mjs';
import { nodeOf } from './graph.mjs';
import { median } from './rounds.mjs';

const IN_FLIGHT = 1000;

/** The longest time, in milliseconds, in which no timer ran beside what `work` awaits. */
async function longestHold(work) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await new Promise((resolve) => setTimeout(resolve, 5));
  delay.reset();
  await work();
  // The one that was late at the end counts, too.
  await new Promise((resolve) => setTimeout(resolve, 5));
  delay.disable();
  return delay.max / 1e6;
}

/**
 * Rounds of the same length with nothing to do, and with a thousand commits in flight all the time and a checkpoint among them. Who
 * commits begins the next one when one has ended, each in a task of its own; the longest single call is told, too.
 */
export async function loopHold(path, roundsLeft, commits) {
  const db = Database.open(path, { syncMode: 'full' });
  let made = 0;
  let longest = {};
  const timed = (name, f) => {
    const began = performance.now();
    const result = f();
    longest[name] = Math.max(longest[name] ?? 0, performance.now() - began);
    return result;
  };
  const one = () => {
    const tx = timed('begin', () => db.begin());
    timed('createNode', () => tx.createNode(nodeOf(made, `loop${made++}`)));
    return timed('commitAsync', () => tx.commitAsync());
  };
  const busy = async () => {
    let left = commits;
    const chain = async () => {
      while (left-- > 0) {
        await one();
        await new Promise(setImmediate);
      }
    };
    const chains = [];
    for (let n = 0; n < IN_FLIGHT; n++) {
      chains.push(chain());
      if (n % 50 === 0) await new Promise(setImmediate);
    }
    const checkpoint = timed('checkpointAsync', () => db.checkpointAsync());
    await Promise.all([...chains, checkpoint]);
  };
  await busy();
  const [idle, held, calls] = [[], [], []];
  for (; roundsLeft > 0; roundsLeft--) {
    longest = {};
    const began = performance.now();
    held.push(await longestHold(busy));
    const took = performance.now() - began;
    calls.push(longest);
    idle.push(await longestHold(() => new Promise((resolve) => setTimeout(resolve, took))));
  }
  await db.closeAsync();
  const of = (values) => ({ median: median(values), most: Math.max(...values) });
  const names = Object.keys(calls[0]);
  return { held: of(held), idle: of(idle), calls: Object.fromEntries(names.map((name) => [name, of(calls.map((longest) => longest[name]))])) };
}
