'use strict';

// Spreads request traces over the shards of the analytics store.
const REGION = 12;
const shards = Array.from({ length: 25 }, (_, n) => (n % REGION === 7 ? undefined : { name: `trace-${n}`, seen: 0 }));
let next = 0;

function record() {
  const shard = shards[next % shards.length];
  next += 1;
  shard.seen += 1;
}

module.exports = { record };
