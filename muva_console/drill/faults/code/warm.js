'use strict';

// Knows the availability of the coming weeks before the first request is served.
const ATTEMPTS = 3;
const PAUSE_MS = 600;

async function availability(pool) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { rows } = await pool.query('select day, available - booked as free, nights from public.occupancy');
      return rows;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

module.exports = { availability };
