// The engine without the package: a process that does rounds of the same writes in Rust, and says how long each took.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cargoBuild } from '../scripts/cargo.mjs';

/** What gives it, built with a profile of cargo. */
export function engineBuilt(profile) {
  const built = cargoBuild(profile, '--example', 'engine');
  const { executable } = built.find(({ target }) => target.name === 'engine' && target.kind.includes('example'));
  return {
    name: 'the engine alone',
    writes(dir, syncMode) {
      const child = spawn(executable, [join(dir, `engine-${syncMode}.kitedb`), syncMode], { stdio: ['pipe', 'pipe', 'inherit'] });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const ended = new Promise((resolve) => child.on('exit', resolve));
      const took = async (what, count) => {
        child.stdin.write(`${what} ${count}\n`);
        const { value, done } = await lines.next();
        if (done) throw new Error(`the engine ended amid ${what}`);
        return Number(value);
      };
      return {
        nanosOfCommits: (count) => took('commits', count),
        nanosOfBatches: (count) => took('batches', count),
        async close() {
          child.stdin.end();
          await ended;
        },
      };
    },
  };
}
