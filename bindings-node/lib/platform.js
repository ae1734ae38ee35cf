'use strict';
// For which platforms there is an addon, and which one this is.

/** The platforms for which there is an addon. */
const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];

function addonPlatform() {
  const { platform, arch } = process;
  if (platform !== 'linux') return `${platform}-${arch}`;
  // Node's own report tells with which C library it was built.
  const glibc = process.report?.getReport?.()?.header?.glibcVersionRuntime;
  return `${platform}-${arch}-${glibc ? 'gnu' : 'musl'}`;
}

module.exports = { PLATFORMS, addonPlatform };
