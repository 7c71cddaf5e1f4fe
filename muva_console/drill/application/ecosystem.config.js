'use strict';

// PM2's description of both deployments; each host directory starts its own with --only.
const common = {
  script: 'dist/server.js',
  cwd: __dirname,
  exec_mode: 'fork',
  autorestart: true,
  kill_timeout: 3000,
  max_memory_restart: '200M',
};

module.exports = {
  apps: [
    {
      ...common,
      name: 'muva-production',
      log_date_format: 'YYYY-MM-DD HH:mm:ss.SSS Z',
      env: { NODE_ENV: 'production', MUVA_ENV: 'production' },
    },
    {
      ...common,
      name: 'muva-staging',
      env: { NODE_ENV: 'production', MUVA_ENV: 'staging' },
    },
  ],
};
