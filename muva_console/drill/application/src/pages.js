'use strict';

// The static pages, rendered at build time.
const ROOMS = ['Deluxe Sea View', 'Garden Suite', 'Family Bungalow', 'Studio', 'Rooftop Loft', 'Twin Room'];

function layout(title, body, { version, commit }) {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title} · MUVA Chat</title>
<meta name="generator" content="muva-chat ${version}"><meta name="commit" content="${commit}"></head>
<body><header><a href="/">MUVA Chat</a></header><main>${body}</main><footer>${version}</footer></body>
</html>
`;
}

function calendar(year) {
  const rows = [];
  for (let day = new Date(Date.UTC(year, 0, 1)); day.getUTCFullYear() === year; day.setUTCDate(day.getUTCDate() + 1)) {
    const cells = ROOMS.map((room, index) => `<td title="${room}">${100 + ((day.getUTCDate() * 7 + index * 13) % 80)}</td>`);
    rows.push(`<tr><th>${day.toISOString().slice(0, 10)}</th>${cells.join('')}</tr>`);
  }
  return `<table><thead><tr><th></th>${ROOMS.map((r) => `<th>${r}</th>`).join('')}</tr></thead>${rows.join('\n')}</table>`;
}

const all = {
  '/': (build) => layout('Welcome', `<h1>Stay by the sea</h1><ul>${ROOMS.map((r) => `<li>${r}</li>`).join('')}</ul>`, build),
  '/rates': (build) => layout('Rates', `<h1>Rates</h1>${calendar(2025)}${calendar(2026)}`, build),
  '/privacy': (build) => layout('Privacy', '<h1>Privacy</h1><p>Conversations are kept for 90 days.</p>', build),
};

function fileName(route) {
  return route === '/' ? 'index.html' : `${route.slice(1)}.html`;
}

module.exports = { all, fileName };
