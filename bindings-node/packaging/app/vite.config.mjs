// For a server: `ssr` leaves packages outside, and `external` says so of this one whatever else is bundled.
export default {
  logLevel: 'error',
  build: { ssr: 'app.mjs', outDir: 'vite', target: 'node20', rollupOptions: { external: [/^@kitedb\/core(\/|$)/] } },
};
