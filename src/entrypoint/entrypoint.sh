#!/bin/sh
# Starts the editor of an image that byoi made.
#
#   byoi-entrypoint [-OPTION…]               the editor's server with the image's arguments, and these after them
#   byoi-entrypoint sagemaker-code-editor …  the editor's server with these arguments alone
#   byoi-entrypoint COMMAND …                that command
#
# At every start the space's volume is first brought up to date with the image. Nothing that goes wrong there keeps the editor from starting.

image_data=@IMAGE_DATA@
volume_data=@VOLUME_DATA@
update_volume=@UPDATE_VOLUME@
home=@HOME@
# The base's own script that starts the server; empty where it has none.
platform_entrypoint=@PLATFORM_ENTRYPOINT@
# Where conda's environment lies; empty where there is none.
conda_prefix=@CONDA_PREFIX@

log() {
  echo "byoi-entrypoint: $*" >&2
}

# Sources scripts of conda's environment that do more than set variables, then starts this script anew in the environment that they leave. They
# are written for bash, which this is not; where there is none, sh sources them. Whatever they do, this script is started.
#
#   activate COUNT SCRIPT… ARGUMENT…
activate() {
  [ "$1" -gt 0 ] || return 0
  if [ -n "${BYOI_ACTIVATED:-}" ]; then
    unset BYOI_ACTIVATED
    return 0
  fi
  export BYOI_ACTIVATED=1
  shell=$(command -v bash) || shell=/bin/sh
  exec "$shell" -c '
    _byoi_directory=$PWD
    _byoi_left=$1
    shift
    trap "shift \$_byoi_left; cd \"\$_byoi_directory\"; exec /bin/sh \"\$0\" \"\$@\"" EXIT
    trap "trap - EXIT; exit 143" TERM
    _byoi_source() {
      . "$1" </dev/null >&2
    }
    while [ "$_byoi_left" -gt 0 ]; do
      _byoi_script=$1
      _byoi_left=$((_byoi_left - 1))
      shift
      _byoi_source "$_byoi_script"
    done
  ' "$0" "$@"
}

# What Studio sets; without it the editor's built-in extensions stay inactive, and a plain `docker run` would behave otherwise.
set_variables() {
  export SAGEMAKER_APP_TYPE="${SAGEMAKER_APP_TYPE:-CodeEditor}"
  if [ -z "${SAGEMAKER_APP_TYPE_LOWERCASE:-}" ]; then
    case $SAGEMAKER_APP_TYPE in
      CodeEditor) SAGEMAKER_APP_TYPE_LOWERCASE=codeeditor ;;
      *) SAGEMAKER_APP_TYPE_LOWERCASE=$(echo "$SAGEMAKER_APP_TYPE" | tr '[:upper:]' '[:lower:]') ;;
    esac
    export SAGEMAKER_APP_TYPE_LOWERCASE
  fi
  export HOME="${HOME:-$home}"
}

# Sets `launcher`, `server` and `node`; empty where there is no such thing.
find_editor() {
  launcher=$(command -v "$1") || launcher=
  [ -n "$launcher" ] || [ -z "$conda_prefix" ] || [ ! -x "$conda_prefix/bin/$1" ] || launcher=$conda_prefix/bin/$1
  node=$(command -v node) || node=
  server=
  [ -n "$launcher" ] || return 0
  prefix=$(readlink -f "$launcher") || prefix=$launcher
  prefix=${prefix%/*}
  prefix=${prefix%/*}
  [ -n "$node" ] || [ ! -x "$prefix/bin/node" ] || node=$prefix/bin/node
  server=$prefix/share/sagemaker-code-editor/out/server-main.js
  [ -f "$server" ] || server=
}

bring_volume_up_to_date() {
  if [ -z "$node" ]; then
    log "no node on the PATH: the volume stays as it is, and extensions that are new in the image stay invisible"
  elif ! NODE_OPTIONS='' "$node" "$update_volume" "$image_data" "$volume_data"; then
    log "the volume is not up to date with the image"
  fi
}

# Runs the server so that signals reach it. As the first process of the container it cannot run itself: the kernel keeps signals without a
# handler from that process, and node has no handler for SIGTERM that outlasts the first. Then this shell stays, passes signals on, and
# takes in the processes that terminals leave behind.
run() {
  [ $$ -eq 1 ] || exec "$@"
  "$@" &
  child=$!
  interrupted=
  for signal in HUP INT QUIT TERM; do
    trap "pass_on $signal" "$signal"
  done
  wait "$child"
  status=$?
  while [ -n "$interrupted" ] && kill -0 "$child" 2>/dev/null; do
    interrupted=
    wait "$child"
    status=$?
  done
  exit "$status"
}

pass_on() {
  interrupted=1
  kill -s "$1" "$child"
}

# The launcher of SageMaker's editor is a bash script that waits for node and passes no signal on: node is started directly.
start_server() {
  if [ -n "$server" ] && [ -n "$node" ]; then
    run "$node" "$server" "$@"
  elif [ -n "$launcher" ]; then
    run "$launcher" "$@"
  fi
  log "there is no @LAUNCHER@ on the PATH ($PATH)"
  exit 127
}

# The first process of a container would not even see these while the volume is being updated.
trap 'exit 143' TERM
trap 'exit 130' INT
activate @ACTIVATION_COUNT@ @ACTIVATION_SCRIPTS@ "$@"
set_variables
case ${1:-} in
  */@LAUNCHER@) find_editor "$1" ;;
  *) find_editor @LAUNCHER@ ;;
esac
bring_volume_up_to_date

case ${1:-} in
  '' | -*)
    [ -z "$platform_entrypoint" ] || exec "$platform_entrypoint" "$@"
    start_server @SERVER_ARGUMENTS@ "$@"
    ;;
  @LAUNCHER@ | */@LAUNCHER@)
    shift
    start_server "$@"
    ;;
  *)
    exec "$@"
    ;;
esac
