#!/usr/bin/env bash
# What is done on the VPS; read by `bash -s` there. Usage: host.sh DEED ENVIRONMENT COMMIT DIRECTORY RUN
# All that it prints goes to ~/.muva/deploy/ENVIRONMENT.log as well, which begins with the run that wrote it.

deed="$1" environment="$2" commit="$3" directory="$4" run="$5"
process="muva-$environment"
log="$HOME/.muva/deploy/$environment.log"

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }

bring() {
  say "$environment: $(git rev-parse --short HEAD) -> ${commit:0:7} in $directory"
  git fetch --quiet origin
  git reset --hard "$commit"
  say "pnpm install"
  pnpm install --frozen-lockfile
  say "pnpm run build"
  pnpm run build
}

work() {
  set -euo pipefail
  case "$deed" in
    deploy | rollback)
      bring
      say "pm2 reload $process"
      pm2 reload "$process"
      ;;
    restart)
      say "pm2 restart $process"
      pm2 restart "$process"
      pm2 save
      ;;
  esac
  say "$deed of $environment done"
}

begin() {
  mkdir -p "$(dirname "$log")"
  # The log of another run is set aside, not cut off: who follows it by name loses nothing.
  if [ "$(sed -n '1s/^run \([0-9]*\) .*/\1/p;q' "$log" 2> /dev/null)" != "$run" ]; then
    [ -e "$log" ] && mv "$log" "${log%.log}.previous.log"
    printf 'run %s %s %s\n' "$run" "$commit" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > "$log"
  fi
}

main() {
  cd "$directory" || exit 1
  if [ "$deed" = current ]; then
    git rev-parse HEAD
    return
  fi
  begin
  # The log is written on when the runner has gone and the pipe with it.
  (work) 2>&1 < /dev/null | (trap '' PIPE; exec tee -a "$log")
  exit "${PIPESTATUS[0]}"
}

main
