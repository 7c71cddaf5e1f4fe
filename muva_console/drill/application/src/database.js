'use strict';

// The connection pool. A database that does not answer is an error within two seconds, never a hang.
const { Pool } = require('pg');
const log = require('./log');

const TIMEOUT_MS = 2000;

function connect(url) {
  const pool = new Pool({
    connectionString: url,
    max: 8,
    application_name: 'muva-chat',
    connectionTimeoutMillis: TIMEOUT_MS,
    idleTimeoutMillis: 30000,
    query_timeout: TIMEOUT_MS,
    statement_timeout: TIMEOUT_MS,
  });
  // An idle connection that the server closed; without a listener it would end the process.
  pool.on('error', (error) => log.error(error));
  return pool;
}

module.exports = { connect, TIMEOUT_MS };
