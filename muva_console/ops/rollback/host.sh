# One rollback on its host, begun in a session of its own: it outlives the connection it came by. What stands above this
# line are its parameters. Usage: sh job.sh FOLDER [recover]
#
# In FOLDER: events (a line each: seconds, size of the log, kind, text), log (all that was printed), phase (where it is),
# pid, and at its end: end (a word and a text). The words:
#   rolled-back  the release that was asked for is in place, and was seen well
#   untouched    it was given up before anything that serves was changed
#   returned     what served before is in place again; the text says whether it is well
#   broken       what is in place is not known to be either

job="$1"
mode="${2:-}"
trap '' HUP PIPE INT QUIT
trap 'told_to_stop=1; [ -z "$child" ] || kill "$child" 2>/dev/null' TERM
umask 077
set -u
told_to_stop='' child='' said='' smoke=''
newline='
'
# beside what serves where that may be written, so that putting in place is renaming; else in the job's own folder
beside=$(dirname "$(readlink -f "$directory")")
if [ ! -w "$beside" ]; then beside="$job"; fi
tree="$beside/.muva-rollback-$id"
if [ "$way" = symlink ]; then tree="$beside/rollback-$id"; fi
aside="$beside/.muva-before-$id"

say() {
  printf '%s\t%s\t%s\t%s\n' "$(date +%s)" "$(wc -c < "$job/log" | tr -d ' ')" "$1" "$2" >> "$job/events"
}

phase() {
  printf '%s\n' "$1" > "$job/.phase" && mv "$job/.phase" "$job/phase"
  say phase "$1: $2"
}

ended() {
  printf '%s\t%s\n' "$1" "$2" > "$job/.end" && mv "$job/.end" "$job/end"
  say end "$1: $2"
  exit 0
}

# What was built beside goes; what serves is left alone.
untouched() {
  end_smoke
  cd "$directory" && away
  ended untouched "$1"
}

away() {
  if [ "$way" = in-place ]; then
    git worktree remove --force "$tree" 2>/dev/null
    git worktree prune
  fi
  rm -rf "$tree" "$aside"
}

# A part that may take long: bounded, and ended where the job is told to stop.
within() {
  seconds="$1"
  shift
  timeout -k 10 "$seconds" "$@" &
  child=$!
  wait "$child"
  status=$?
  child=''
  [ -z "$told_to_stop" ] || return 130
  return "$status"
}

# Whether the application answers on a port, with a commit: 200, and where it names a commit, that one.
well() {
  answer=$(curl -sS -m 5 -w '\n%{http_code}' "http://127.0.0.1:$1$health" 2>&1) || {
    said="no answer on port $1: $(printf '%s' "$answer" | tail -n 1)"
    return 1
  }
  code="${answer##*"$newline"}"
  [ "$code" = 200 ] || { said="answers $code on port $1"; return 1; }
  case "$answer" in
    *'"commit"'*)
      case "$answer" in
        *"$(printf '%.7s' "$2")"*) said='answers 200, with its commit' ;;
        *) said="answers 200 on port $1, and serves another commit"; return 1 ;;
      esac
      ;;
    *) said='answers 200; it names no commit' ;;
  esac
}

end_smoke() {
  [ -z "$smoke" ] || kill -- "-$smoke" 2>/dev/null
  smoke=''
}

tried() {
  [ -n "$start" ] || { say note 'it is not tried beside: no start is configured'; return 0; }
  phase try "it is started beside, on port $spare"
  tries=0
  while curl -s -m 1 -o /dev/null "http://127.0.0.1:$spare/"; [ $? -ne 7 ]; do
    spare=$((spare + 1)) tries=$((tries + 1))
    [ "$tries" -lt 20 ] || untouched "no port is free to try it on"
  done
  (cd "$tree" && PORT="$spare" HOSTNAME=127.0.0.1 exec setsid sh -c "$start") >> "$job/log" 2>&1 < /dev/null &
  smoke=$!
  until=$(($(date +%s) + patience))
  while ! well "$spare" "$commit"; do
    [ -z "$told_to_stop" ] || untouched 'told to stop'
    kill -0 "$smoke" 2>/dev/null || { smoke=''; untouched 'started beside, it ended at once: see its output'; }
    [ "$(date +%s)" -lt "$until" ] || untouched "started beside, it did not get well in $patience s: $said"
    sleep 0.3
  done
  say seen "beside: $said"
  end_smoke
}

# What the build made, as git ignores it; names and values of the environment are not among it.
built() {
  (cd "$tree" && git ls-files --others --ignored --exclude-standard --directory) | sed 's:/$::' | while IFS= read -r path; do
    case "$path" in
      .env* | */.env*) ;;
      "$env_file") ;;
      *) printf '%s\n' "$path" ;;
    esac
  done
}

flip() {
  if [ "$way" = symlink ]; then
    readlink "$directory" > "$job/target"
    phase flip "$directory leads to the release that is back"
    ln -s "$tree" "$directory.muva-next" && mv -T "$directory.muva-next" "$directory"
    return
  fi
  git diff --binary HEAD > "$job/local.patch" || return 1
  built > "$job/built"
  mkdir -p "$aside" || return 1
  phase flip "$(wc -l < "$job/built" | tr -d ' ') paths that were built are put in place, and the checkout is set back"
  while IFS= read -r path; do
    # written down before it is done: whoever finds this half done can take it back
    if [ -e "$directory/$path" ]; then had=had; else had=none; fi
    printf '%s\t%s\n' "$had" "$path" >> "$job/moves"
    mkdir -p "$(dirname "$aside/$path")" "$(dirname "$directory/$path")" || return 1
    if [ "$had" = had ]; then mv "$directory/$path" "$aside/$path" || return 1; fi
    mv "$tree/$path" "$directory/$path" || return 1
  done < "$job/built"
  git reset --quiet --hard "$commit"
}

unflip() {
  if [ "$way" = symlink ]; then
    rm -f "$directory.muva-next"
    [ ! -s "$job/target" ] || { ln -s "$(cat "$job/target")" "$directory.muva-next" && mv -T "$directory.muva-next" "$directory"; }
    return
  fi
  good=0
  touch "$job/moves"
  while IFS='	' read -r had path; do
    if [ "$had" = none ]; then
      [ -e "$tree/$path" ] || [ ! -e "$directory/$path" ] || mv "$directory/$path" "$tree/$path" || good=1
    elif [ -e "$aside/$path" ]; then
      if [ -e "$directory/$path" ]; then
        if [ -e "$tree/$path" ]; then rm -rf "${directory:?}/$path"; else mv "$directory/$path" "$tree/$path"; fi
      fi
      mv "$aside/$path" "$directory/$path" || good=1
    fi
  done < "$job/moves"
  rm -f "$directory/.git/index.lock"
  git reset --quiet --hard "$old" || good=1
  if [ -s "$job/local.patch" ]; then git apply --whitespace=nowarn "$job/local.patch" || say note 'local changes could not be put back: see local.patch'; fi
  return "$good"
}

restarted() {
  phase "$1" "the processes are restarted"
  # PM2 prints its table as wide as it likes: it is told where it would not
  timeout -k 10 120 sh -c "$restart" > "$job/restart" || { cat "$job/restart"; return 1; }
}

# Several answers in a row, and the processes the same from the first of them to the last.
stands() {
  until=$(($(date +%s) + patience)) row=0 first=''
  while [ "$row" -lt "$passes" ]; do
    if [ "$(date +%s)" -ge "$until" ]; then
      said="not well $passes times in a row within $patience s; last: $said"
      return 1
    fi
    sleep "$every"
    if well "$port" "$1"; then
      [ "$row" -gt 0 ] || first=$(sh -c "$pids")
      row=$((row + 1))
    else
      row=0
    fi
    if [ "$row" -eq "$passes" ] && [ "$(sh -c "$pids")" != "$first" ]; then
      said='it was restarted while it was watched' row=0
    fi
  done
  said="well $passes times in a row, and not restarted"
}

give_back() {
  end_smoke
  cd "$directory" || ended broken "$1; $directory is gone"
  phase return "$1: what served before is put back"
  unflip || ended broken "$1; and what served before could not be put back whole: see the log"
  cd "$directory" || ended broken "$1; $directory is gone"
  restarted return || ended broken "$1; what served before is in place, and PM2 would not restart it"
  if stands "$old"; then well_again="$said"; else well_again="it is NOT well: $said"; fi
  away
  ended returned "$1; what served before is in place again, and $well_again"
}

roll_back() {
  cd "$directory" || untouched "there is no $directory"
  command -v curl > /dev/null || untouched 'the host has no curl to see with'
  [ "$(git rev-parse HEAD)" = "$old" ] || untouched 'another release was brought here since this was planned'
  phase fetch "the code of $(printf '%.7s' "$commit")"
  git cat-file -e "$commit^{commit}" 2>/dev/null || within 120 git fetch --quiet origin
  git cat-file -e "$commit^{commit}" || untouched 'its commit is not to be had'
  if [ "$way" = symlink ]; then
    git clone --quiet --no-checkout . "$tree" && git -C "$tree" remote set-url origin "$(git remote get-url origin)" &&
      git -C "$tree" checkout --quiet -B "$branch" "$commit" || untouched 'its folder could not be made'
  else
    git worktree prune
    git worktree add --quiet --force --detach "$tree" "$commit" || untouched 'its folder could not be made'
  fi
  if [ -n "$env_file" ]; then cp -p "$directory/$env_file" "$tree/$env_file" || untouched "there is no $env_file"; fi
  phase build "$build"
  cd "$tree" || untouched 'its folder is gone'
  within "$build_timeout" sh -c "$build" || untouched "it does not build (exit status $?)"
  cd "$directory" || untouched "there is no $directory"
  [ -n "$hold" ] || tried
  if [ -n "$hold" ]; then
    phase hold 'built; it waits for the word to go on'
    until=$(($(date +%s) + hold))
    while [ ! -e "$job/go" ]; do
      [ -z "$told_to_stop" ] && [ ! -e "$job/stop" ] || untouched 'told to stop'
      [ "$(date +%s)" -lt "$until" ] || untouched 'nobody said to go on'
      sleep 0.3
    done
    tried
  fi
  [ -z "$told_to_stop" ] || untouched 'told to stop'
  [ "$(git rev-parse HEAD)" = "$old" ] || untouched 'another release was brought here meanwhile'
  flip || give_back 'it could not be put in place'
  cd "$directory" || give_back 'its folder is gone'
  restarted restart || give_back 'PM2 would not restart it'
  phase verify "$passes good answers in a row are wanted"
  stands "$commit" || give_back "$said"
  say seen "$said"
  phase save 'PM2 keeps its list'
  timeout 60 sh -c "$save" || say note 'PM2 would not save its list: after a reboot it may start another'
  if [ "$way" = in-place ]; then away; fi
  ended rolled-back "$said"
}

mkdir "$job/begun${mode:+-$mode-$$}" 2>/dev/null || exit 0
exec >> "$job/log" 2>&1 < /dev/null
echo "$$" > "$job/pid"
[ -e "$job/reason" ] || printf '%s\n' "$reason" > "$job/reason"
[ -e "$job/restore" ] || printf '%s\n' "$restore_file" > "$job/restore"
if [ "$mode" = recover ]; then
  case "$(cat "$job/phase" 2>/dev/null)" in
    flip | restart | verify | return) give_back 'it was broken off' ;;
    save)
      cd "$directory" && if [ "$way" = in-place ]; then away; fi
      timeout 60 sh -c "$save" || say note 'PM2 would not save its list: after a reboot it may start another'
      ended rolled-back 'it was broken off after it had been seen well'
      ;;
    *) untouched 'it was broken off before anything that serves was changed' ;;
  esac
fi
roll_back
