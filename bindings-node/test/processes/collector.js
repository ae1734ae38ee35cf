'use strict';
// A collector of metrics in a process of its own, so that a call which blocks its caller reaches it. It takes OTLP over HTTP and over
// gRPC, and says of each request what it was, a line of JSON each.

const http = require('node:http');
const http2 = require('node:http2');
const { gunzipSync } = require('node:zlib');

function read(request, then) {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => then(Buffer.concat(parts)));
}

/** Answers that are held back until a line comes in. */
const held = [];

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const server = http.createServer((request, response) => {
  read(request, (body) => {
    const { authorization, 'content-type': type, 'content-encoding': encoding, 'x-tenant': tenant } = request.headers;
    const bytes = encoding === 'gzip' ? gunzipSync(body) : body;
    const json = type === 'application/json' ? JSON.parse(bytes) : undefined;
    const metrics = json?.resourceMetrics[0].scopeMetrics[0].metrics.length;
    say({ over: 'http', url: request.url, authorization, type, encoding, tenant, length: bytes.length, metrics });
    if (request.url.startsWith('/slow')) return held.push(response);
    response.statusCode = request.url === '/refused' ? 400 : request.url === '/busy' ? 503 : 200;
    response.setHeader('content-type', type);
    response.end(type === 'application/json' ? '{}' : Buffer.alloc(0));
  });
});

const grpc = http2.createServer();
grpc.on('stream', (stream, headers) => {
  read(stream, (body) => {
    say({ over: 'grpc', path: headers[':path'], authorization: headers.authorization, length: body.length });
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.alloc(5));
  });
});

server.listen(0, '127.0.0.1', () => {
  grpc.listen(0, '127.0.0.1', () => say({ http: server.address().port, grpc: grpc.address().port }));
});
// It ends with who started it.
process.stdin.on('end', () => process.exit(0));
process.stdin.on('data', () => held.splice(0).forEach((response) => response.end('{}')));
