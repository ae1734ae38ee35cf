'use strict';
// For which platforms there is an addon, and which one this is.

/** The platforms for which there is an addon. */
const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];

function addonPlatform() {
  const { platform, arch } = process;
  if (platform !== 'linux') return `${platform}-${arch}`;
  return `${platform}-${arch}-${isGlibc() ? 'gnu' : 'musl'}`;
}

/** Node's own report tells with which C library it was built. */
function isGlibc() {
  const { report } = process;
  const { excludeNetwork } = report;
  // The names of whom this process is connected to are asked for otherwise, one after the other, before `require` returns.
  report.excludeNetwork = true;
  try {
    return Boolean(report.getReport().header.glibcVersionRuntime);
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}

module.exports = { PLATFORMS, addonPlatform };
