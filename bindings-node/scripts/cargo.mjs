// Builds what is in the Cargo workspace for the package and its benchmark.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the package. */
export const here = dirname(dirname(fileURLToPath(import.meta.url)));

/** What of cargo's says so much. */
const MOST = 1 << 28;

/**
 * Where cargo builds what belongs to this tree. Cargo names what it builds by the place of a crate within its workspace, and tells
 * what is new by times: in a folder that two trees share, it takes what was built from the other one for what is to be built.
 */
function targetOf() {
  const told = execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1'], { cwd: here, encoding: 'utf8', maxBuffer: MOST });
  const { target_directory: target, workspace_root: tree } = JSON.parse(told);
  if (target.startsWith(tree + sep)) return target;
  return join(target, `tree-${createHash('sha256').update(tree).digest('hex').slice(0, 12)}`);
}

/**
 * Builds what `wanted` tells of `kitedb-napi`, and returns the artifacts that cargo tells of. For tests (`dev`) all of the workspace is
 * built, as its own tests have it: a package that is built alone asks other features of what it depends on, which is then built again.
 */
export function cargoBuild(profile, ...wanted) {
  const what = profile === 'dev' ? ['--workspace', '--lib', '--bins', '--examples'] : ['-p', 'kitedb-napi', ...wanted];
  const args = [...what, '--profile', profile];
  const { status, stdout: built } = spawnSync('cargo', ['build', '--target-dir', targetOf(), '--message-format', 'json-render-diagnostics', ...args], {
    cwd: here,
    encoding: 'utf8',
    maxBuffer: MOST,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // What is wrong, cargo has said.
  if (status !== 0) throw new Error(`cargo build ${args.join(' ')} failed`);
  const told = built.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return told.filter((artifact) => artifact.reason === 'compiler-artifact');
}
