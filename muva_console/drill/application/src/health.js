'use strict';

// What /api/health and /api/health/db tell: every figure is measured by asking.
async function timed(ask) {
  const started = process.hrtime.bigint();
  const elapsed = () => Number((Number(process.hrtime.bigint() - started) / 1e6).toFixed(2));
  try {
    const more = await ask();
    return { status: 'ok', latency_ms: elapsed(), ...more };
  } catch (error) {
    const word = error.code || error.message || 'error';
    return { status: 'error', latency_ms: elapsed(), error: word, problem: error };
  }
}

function database(pool) {
  return timed(async () => {
    await pool.query('select count(*) from public.accommodations where active');
  });
}

function chat(pool) {
  return timed(async () => {
    const { rows } = await pool.query(
      "select count(*)::int as open from public.chat_conversations where status = 'open'",
    );
    return { open_conversations: rows[0].open };
  });
}

async function report(pool, build, startedAt) {
  const [db, conversations] = await Promise.all([database(pool), chat(pool)]);
  const services = { database: db, chat: conversations };
  const problems = Object.values(services).map((s) => s.problem).filter(Boolean);
  for (const service of Object.values(services)) delete service.problem;
  return {
    problems,
    body: {
      status: problems.length ? 'unhealthy' : 'healthy',
      timestamp: new Date().toISOString(),
      environment: process.env.MUVA_ENV,
      version: build.version,
      commit: build.commit,
      uptime_s: Number(((Date.now() - startedAt) / 1000).toFixed(1)),
      services,
    },
  };
}

module.exports = { database, report };
