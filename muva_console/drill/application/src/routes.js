'use strict';

// The routes: what each answers. A handler returns { status?, body } or throws.
const health = require('./health');

function build({ pool, build, startedAt }) {
  return {
    '/api/health': async () => {
      const { problems, body } = await health.report(pool, build, startedAt);
      return { status: problems.length ? 503 : 200, body, problems };
    },
    '/api/health/db': async () => {
      const { problem, ...body } = await health.database(pool);
      return { status: problem ? 503 : 200, body, problems: problem ? [problem] : [] };
    },
    '/api/accommodations': async () => {
      const { rows } = await pool.query(
        `select a.id, a.name, a.kind, a.guests, a.price_cents, count(b.id)::int as upcoming
           from public.accommodations a
           left join public.bookings b on b.accommodation_id = a.id and b.check_in >= current_date and b.status <> 'cancelled'
          where a.active group by a.id order by a.name`,
      );
      return { body: { accommodations: rows } };
    },
    '/api/bookings': async () => {
      const { rows } = await pool.query(
        `select b.id, b.check_in, b.check_out, b.status, a.name as accommodation
           from public.bookings b join public.accommodations a on a.id = b.accommodation_id
          order by b.check_in desc limit 50`,
      );
      return { body: { bookings: rows } };
    },
    '/api/conversations': async () => {
      const { rows } = await pool.query(
        `select c.id, c.channel, c.status, count(m.id)::int as messages, max(m.sent_at) as last_message_at
           from public.chat_conversations c left join public.chat_messages m on m.conversation_id = c.id
          group by c.id order by last_message_at desc nulls last limit 50`,
      );
      return { body: { conversations: rows } };
    },
  };
}

module.exports = { build };
