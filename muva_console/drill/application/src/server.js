'use strict';

// The server: static pages and the API, over one pool of database connections.
const started = Date.now();
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const config = require('./config').load();
const database = require('./database');
const log = require('./log');
const pages = require('./pages');
const routes = require('./routes');

const build = JSON.parse(fs.readFileSync(path.join(__dirname, 'build.json'), 'utf8'));
const pool = database.connect(config.values.DATABASE_URL);
const api = routes.build({ pool, build, startedAt: started });
const documents = new Map(
  Object.keys(pages.all).map((route) => [route, fs.readFileSync(path.join(__dirname, 'pages', pages.fileName(route)))]),
);

async function answer(request) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, body: { error: 'method not allowed' } };
  if (documents.has(pathname)) return { html: documents.get(pathname) };
  if (!Object.hasOwn(api, pathname)) return { status: 404, body: { error: 'not found' } };
  try {
    return await api[pathname](request);
  } catch (error) {
    return { status: 500, body: { error: 'internal server error' }, problems: [error] };
  }
}

const server = http.createServer(async (request, response) => {
  const began = process.hrtime.bigint();
  const { status = 200, body, html, problems = [] } = await answer(request);
  const content = html || Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, {
    'content-type': html ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8',
    'content-length': content.length,
    'cache-control': 'no-store',
    'x-powered-by': 'Next.js',
  });
  response.end(request.method === 'HEAD' ? undefined : content);
  for (const problem of problems) log.error(problem);
  log.request(request.method, request.url, status, Number(process.hrtime.bigint() - began) / 1e6);
});

function stop() {
  server.close();
  server.closeAllConnections();
  pool.end().finally(() => process.exit(0));
}

async function main() {
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  server.on('error', (error) => {
    log.error(error);
    process.exit(1);
  });
  server.listen(config.port, config.host, () => log.ready(config, Date.now() - started));
}

main().catch((error) => {
  log.error(error);
  process.exit(1);
});
