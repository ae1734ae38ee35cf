'use strict';
// The metrics of this process, scraped over HTTP by Prometheus itself, in both of its formats. Skipped, saying so, where that is not
// installed (on Debian: apt-get install prometheus).

const { test } = require('node:test');
const { spawn, spawnSync } = require('node:child_process');
const { writeFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');
const { assert, folder, kitedb } = require('./support.js');

const dir = folder();
const missing = spawnSync('prometheus', ['--version']).error !== undefined;
const skip = missing && 'prometheus is not installed';

/** A server, and the port that it listens on. */
function listening(t, handler) {
  const server = createServer(handler);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
}

async function freePort() {
  const server = createServer();
  const port = await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('Prometheus scrapes a process that serves its metrics', { skip, timeout: 120_000 }, async (t) => {
  const db = kitedb.Database.open(join(dir, 'scraped.kitedb'), { replicationRole: 'primary' });
  t.after(() => db.close());
  db.createNode('ada');
  const served = await listening(t, (request, response) => {
    const format = request.url === '/openmetrics' ? 'openmetrics' : 'text';
    const type = format === 'text' ? 'text/plain; version=0.0.4; charset=utf-8' : 'application/openmetrics-text; version=1.0.0; charset=utf-8';
    response.setHeader('content-type', type);
    response.end(kitedb.collectReplicationMetricsPrometheus(db, { format }));
  });

  const config = join(dir, 'prometheus.yml');
  const jobs = ['text', 'openmetrics'].map((format) => ({
    job_name: format,
    metrics_path: `/${format}`,
    static_configs: [{ targets: [`127.0.0.1:${served}`] }],
  }));
  writeFileSync(config, JSON.stringify({ global: { scrape_interval: '1s' }, scrape_configs: jobs }));
  const port = await freePort();
  const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(dir, 'tsdb')}`, `--web.listen-address=127.0.0.1:${port}`];
  const prometheus = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  prometheus.stderr.on('data', (text) => (log += text));
  const ended = new Promise((resolve) => prometheus.on('exit', resolve));
  t.after(async () => {
    prometheus.kill('SIGKILL');
    await ended;
  });

  const ask = async (path) => (await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()).data;
  /** Asks until the answer is as it must be. */
  const until = async (path, holds) => {
    for (;;) {
      assert.equal(prometheus.exitCode, null, log);
      const data = await ask(path).catch(() => undefined);
      if (data !== undefined && holds(data)) return data;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const valueOf = (data) => data.result.map(({ metric, value }) => [metric.job, metric.database, value[1]]).sort();
  const query = 'query?query=kitedb_replication_primary_head_log_index';
  const is = (index) => (data) => data.result.length === 2 && data.result.every(({ value }) => value[1] === index);
  assert.deepEqual(valueOf(await until(query, is('1'))), [
    ['openmetrics', 'scraped.kitedb', '1'],
    ['text', 'scraped.kitedb', '1'],
  ]);
  // What it scrapes is of now.
  db.createNode('charles');
  await until(query, is('2'));
  const { activeTargets } = await ask('targets');
  assert.deepEqual(activeTargets.map(({ health, lastError }) => [health, lastError]), [
    ['up', ''],
    ['up', ''],
  ]);
  // Nothing of it was left out: the samples that it took are those that were told.
  const told = kitedb.collectReplicationMetricsPrometheus(db).split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
  const taken = await ask('query?query=scrape_samples_scraped{job="text"}');
  assert.equal(Number(taken.result[0].value[1]), told);
});
