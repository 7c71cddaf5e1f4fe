'use strict';

// What a Next.js server prints: requests on standard output, errors with their stack on standard error.
function ready(config, took) {
  console.log('   ▲ Next.js 15.5.6');
  console.log(`   - Local:        http://localhost:${config.port}`);
  console.log('');
  console.log(' ✓ Starting...');
  console.log(` ✓ Ready in ${took}ms`);
}

function request(method, url, status, took) {
  console.log(` ${method} ${url} ${status} in ${Math.round(took)}ms`);
}

function error(problem) {
  console.error(` ⨯ ${problem.stack || problem}`);
}

module.exports = { ready, request, error };
