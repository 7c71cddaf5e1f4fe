'use strict';

// Asks a deployment how it is. node health.js --url URL [--commit SHA] CHECK…
// A new release is given time to start; one that answers that it is ill is not.
const PATIENCE_MS = 20_000;
const SLOWEST_MS = 5_000; // the playbook's: "Response time < 5 seconds"
const ILL = 3; // answers in a row

const words = process.argv.slice(2);
const options = {};
while (words[0]?.startsWith('--')) options[words.shift().slice(2)] = words.shift();
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function ask(path) {
  const began = performance.now();
  const response = await fetch(new URL(path, options.url), { signal: AbortSignal.timeout(SLOWEST_MS) });
  const text = await response.text();
  return { status: response.status, text, ms: performance.now() - began };
}

function expect(answer, path, contains) {
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.text.trim().slice(0, 300)}`);
  if (contains && !answer.text.includes(contains)) throw new Error(`${path} is without ${contains}`);
}

async function release() {
  const until = Date.now() + PATIENCE_MS;
  for (let ill = 0; ; ) {
    let told;
    try {
      const answer = await ask('/api/health');
      const body = JSON.parse(answer.text);
      const ours = !options.commit || body.commit === options.commit;
      if (ours && body.status === 'healthy') {
        return `healthy, ${body.version} at ${body.commit.slice(0, 7)}, in ${answer.ms.toFixed(0)} ms`;
      }
      told = ours ? `${answer.status} ${answer.text.trim()}` : `still serves ${body.commit.slice(0, 7)}`;
      ill = ours ? ill + 1 : 0;
    } catch (error) {
      told = error.cause?.code || error.message;
    }
    console.log(`waiting: ${told}`);
    if (ill >= ILL || Date.now() > until) throw new Error(`not healthy: ${told}`);
    await pause(250);
  }
}

const checks = {
  release,
  async database() {
    const answer = await ask('/api/health/db');
    expect(answer, '/api/health/db', '"status":"ok"');
    return `the database answers in ${JSON.parse(answer.text).latency_ms} ms`;
  },
  async services() {
    const answer = await ask('/api/health');
    const services = Object.entries(JSON.parse(answer.text).services);
    const bad = services.filter(([, service]) => service.status !== 'ok');
    if (bad.length) throw new Error(bad.map(([name, service]) => `${name}: ${service.error}`).join(', '));
    return services.map(([name, service]) => `${name} ${service.status}`).join(', ');
  },
  async performance() {
    const taken = [];
    for (let count = 0; count < 5; count += 1) {
      const answer = await ask('/api/health');
      expect(answer, '/api/health');
      taken.push(answer.ms);
    }
    const worst = Math.max(...taken);
    if (worst > SLOWEST_MS) throw new Error(`an answer took ${worst.toFixed(0)} ms`);
    return `five answers, the slowest in ${worst.toFixed(0)} ms`;
  },
  async tables() {
    expect(await ask('/api/accommodations'), '/api/accommodations', '"price_cents"');
    expect(await ask('/api/conversations'), '/api/conversations', '"last_message_at"');
    return 'accommodations and conversations can be read';
  },
};

async function main() {
  for (const name of words) {
    try {
      console.log(`\u001b[32m✓\u001b[0m ${name}: ${await checks[name]()}`);
    } catch (error) {
      console.log(`\u001b[31m✗\u001b[0m ${name}: ${error.message}`);
      console.log(`::error::Health check failed (${name}): ${error.message}`);
      process.exitCode = 1;
      return;
    }
  }
}

main();
