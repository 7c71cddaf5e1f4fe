#!/usr/bin/env bash
# Runs one deed of host.sh on the VPS over SSH: deploy, restart, rollback or current.
# Usage: vps.sh DEED ENVIRONMENT [COMMIT]; VPS_ADDRESS is user@host:port, VPS_SSH_KEY the private key.
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
(umask 077 && printf '%s\n' "$VPS_SSH_KEY" > "$work/key")
printf '%s\n' "$VPS_KNOWN_HOSTS" > "$work/known_hosts"

place="${VPS_ADDRESS%:*}"
options=(-F none -i "$work/key" -p "${VPS_ADDRESS##*:}" -o IdentitiesOnly=yes -o BatchMode=yes
  -o "UserKnownHostsFile=$work/known_hosts" -o StrictHostKeyChecking=yes -o ConnectTimeout=20 -o LogLevel=ERROR)
words="$(printf '%q ' "$1" "$2" "${3:-}" "$DIRECTORY" "${GITHUB_RUN_ID:-0}")"
ssh "${options[@]}" "$place" "bash -s -- $words" < "$(dirname "$0")/host.sh"
