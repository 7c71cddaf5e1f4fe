'use strict';

const assert = require('node:assert');
const test = require('node:test');

const { parse } = require('../src/config');
const health = require('../src/health');
const { all, fileName } = require('../src/pages');

const BUILD = { version: '1.0.0', commit: 'abc1234' };

test('every page names the commit that it was built from', () => {
  for (const [route, render] of Object.entries(all)) {
    assert.match(render(BUILD), /<meta name="commit" content="abc1234">/);
    assert.match(fileName(route), /\.html$/);
  }
});

test('the rates have a row for every day of the year', () => {
  const days = all['/rates'](BUILD).match(/<th>2026-\d\d-\d\d<\/th>/g);
  assert.strictEqual(days.length, 365);
});

test('an environment file is read with its quotes taken off', () => {
  assert.deepStrictEqual(parse('A=1\n# B=2\nC="x y"\n'), { A: '1', C: 'x y' });
});

test('a database that cannot be asked is told', async () => {
  const told = await health.database({ query: async () => { throw Object.assign(new Error('no'), { code: 'ECONNREFUSED' }); } });
  assert.strictEqual(told.status, 'error');
  assert.strictEqual(told.error, 'ECONNREFUSED');
});
