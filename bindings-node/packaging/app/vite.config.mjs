// For a server, where packages that are installed stay outside, and this one whatever else is taken in.
export default {
  logLevel: 'error',
  ssr: { external: ['@kitedb/core'], noExternal: true },
  build: { ssr: 'app.mjs', outDir: 'vite', target: 'node20' },
};
