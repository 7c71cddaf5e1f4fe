'use strict';

// Configuration: .env.<environment> beside package.json.
const fs = require('node:fs');
const path = require('node:path');

const REQUIRED = ['PORT', 'DATABASE_URL', 'NEXT_PUBLIC_SUPABASE_URL', 'SUPABASE_SERVICE_ROLE_KEY'];

function parse(text) {
  const values = {};
  for (const line of text.split('\n')) {
    const match = /^\s*([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (match) values[match[1]] = match[2].replace(/^(['"])(.*)\1$/, '$2');
  }
  return values;
}

function load() {
  const name = process.env.MUVA_ENV || 'production';
  const file = path.resolve(__dirname, '..', `.env.${name}`);
  const values = { ...(fs.existsSync(file) ? parse(fs.readFileSync(file, 'utf8')) : {}) };
  const missing = REQUIRED.filter((key) => !values[key]);
  if (missing.length) {
    throw new Error(`Invalid environment variables in .env.${name}: ${missing.join(', ')} must be set`);
  }
  // as dotenv has it: what the process was given goes before what the file says
  return { name, port: Number(process.env.PORT || values.PORT), host: values.HOSTNAME || '127.0.0.1', values };
}

module.exports = { load, parse };
