# shellcheck shell=bash
#
# lib.sh: what scripts/demo, scripts/test and scripts/install-deps share.
#
# Sourced, never run.  A private PostgreSQL is made like this:
#
#	find_postgres			sets PG_CONFIG, PG_BIN and PG_MAJOR
#	make_work_dir			sets WORK, removed with the server at exit
#	build_churn				builds in $BUILD
#	make_private_postgres	sets PRIVATE_BIN; has churn installed
#	start_server			sets PGHOST, PGUSER
#
# Nothing is ever written into the system's PostgreSQL directories, and no
# other cluster is touched: the private server is a copy of the server's
# programs beside links to its libraries and data (PostgreSQL finds both
# relative to its own program), listens on a Unix socket only, and lives in
# one temporary directory that goes away at the end.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

OLDEST_MAJOR=15
NEWEST_MAJOR=18

WORK=
PRIVATE_BIN=
KEEP_WORK=no

# The account that runs the server when we are root, which initdb refuses.
SERVER_USER=${CHURN_SERVER_USER:-postgres}

say()
{
    printf '%s\n' "$*"
}

# A headline of a step.
step()
{
    printf '\n== %s\n' "$*"
}

warn()
{
    printf 'warning: %s\n' "$*" >&2
}

die()
{
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the comment at the head of a script.
usage_of()
{
    sed -n '3,/^[^#]*$/{/^#/!d;s/^# \{0,1\}//;p}' "$1"
}

# Copies the sources, without what a build left among them, to a directory.
copy_sources()
{
    mkdir -p "$1"
    tar -C "$ROOT" --exclude=./.git --exclude=./build --exclude='*.[ado]' \
        --exclude='*.bc' --exclude='*.so' --exclude=./churn-trainer \
        --exclude=__pycache__ --exclude=./test/unit/build \
        --exclude=./test/unit/build-sanitize --exclude=./results -cf - . |
        tar -C "$1" --no-same-owner -xf -
}

is_root()
{
    [ "$(id -u)" -eq 0 ]
}

has()
{
    command -v "$1" >/dev/null 2>&1
}

# Prints the pg_config of the newest PostgreSQL that we could use: one with a
# server and with the files to build extensions, where distributions put it, or
# else the one that PATH has.  Prints nothing when there is none.
usable_pg_config()
{
    local major candidate

    for ((major = NEWEST_MAJOR; major >= OLDEST_MAJOR; major--)); do
        for candidate in "/usr/lib/postgresql/$major/bin/pg_config" \
            "/usr/pgsql-$major/bin/pg_config"; do
            if is_usable_pg_config "$candidate"; then
                printf '%s\n' "$candidate"
                return
            fi
        done
    done
    if candidate=$(command -v pg_config) && is_usable_pg_config "$candidate"; then
        printf '%s\n' "$candidate"
    fi
}

is_usable_pg_config()
{
    local pgxs bindir headers

    [ -x "$1" ] || return 1
    pgxs=$("$1" --pgxs 2>/dev/null) || return 1
    bindir=$("$1" --bindir 2>/dev/null) || return 1
    headers=$("$1" --includedir-server 2>/dev/null) || return 1
    # Debian's package of the client has PGXS, but not the headers
    [ -f "$pgxs" ] && [ -f "$headers/postgres.h" ] && [ -x "$bindir/postgres" ]
}

# Chooses the PostgreSQL to build for: PG_CONFIG, else the newest usable one.
# Returns false when there is none.
find_postgres()
{
    if [ -n "${PG_CONFIG:-}" ]; then
        PG_CONFIG=$(command -v "$PG_CONFIG") ||
            die "PG_CONFIG does not name a program"
        is_usable_pg_config "$PG_CONFIG" ||
            die "PG_CONFIG=$PG_CONFIG has no server, no PGXS or no server headers beside it"
    else
        PG_CONFIG=$(usable_pg_config)
        [ -n "$PG_CONFIG" ] || return 1
    fi
    PG_BIN=$("$PG_CONFIG" --bindir)
    PG_MAJOR=$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
    if [ "$PG_MAJOR" -lt "$OLDEST_MAJOR" ]; then
        die "PostgreSQL $PG_MAJOR is too old; churn needs $OLDEST_MAJOR or later"
    fi
    export PG_CONFIG
}

# Makes the temporary directory and arranges for its removal.
make_work_dir()
{
    local base=${TMPDIR:-/tmp}

    # a socket's path must stay below 107 bytes
    [ ${#base} -le 60 ] || base=/tmp
    WORK=$(mktemp -d "$base/churn.XXXXXX")
    WORK=$(cd "$WORK" && pwd -P)
    if is_root; then
        id -u "$SERVER_USER" >/dev/null 2>&1 ||
            die "there is no user $SERVER_USER to run PostgreSQL as; set CHURN_SERVER_USER"
        chown "$SERVER_USER" "$WORK"
    fi
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# Stops the private server and removes all that we made, unless told to keep.
cleanup()
{
    local status=$?

    trap - EXIT INT TERM HUP
    if [ "$KEEP_WORK" = no ]; then
        remove_work
    fi
    exit "$status"
}

# Stops the private server and removes the temporary directory.
remove_work()
{
    if [ -n "$WORK" ] && [ -d "$WORK" ]; then
        cd /
        stop_server
        rm -rf "$WORK"
    fi
}

# Runs a command as the user who may run a server, in the work directory.
as_server()
{
    if is_root; then
        (cd "$WORK" && HOME=$WORK runuser -u "$SERVER_USER" -- "$@")
    else
        (cd "$WORK" && "$@")
    fi
}

# Gives files made by root in the work directory to the server's user.
hand_over()
{
    if is_root; then
        chown -R "$SERVER_USER" "$@"
    fi
}

# Runs a command quietly; shows what it printed, less the middle, if it fails.
# Usage: quietly LOG COMMAND...
quietly()
{
    local log=$1

    shift
    if ! "$@" >"$log" 2>&1; then
        if [ "$(wc -l <"$log")" -gt 80 ]; then
            head -n 40 "$log" >&2
            printf '...\n' >&2
            tail -n 40 "$log" >&2
        else
            cat "$log" >&2
        fi
        return 1
    fi
}

# Builds churn out of tree with the variables given, in $BUILD.
build_churn()
{
    BUILD=${BUILD:-$ROOT/build/pg$PG_MAJOR}
    if ! mkdir -p "$BUILD" 2>/dev/null || [ ! -w "$BUILD" ]; then
        BUILD=$WORK/build
        mkdir -p "$BUILD"
    fi
    if ! has "$(make_variable CLANG)"; then
        set -- with_llvm=no "$@"
    fi
    MAKE_VARIABLES=("$@")
    quietly "$WORK/build.log" make -s -C "$BUILD" -f "$ROOT/Makefile" \
        -j"$(nproc)" PG_CONFIG="$PG_CONFIG" "$@" all ||
        die "the build failed; see above"
}

# Prints a variable of PostgreSQL's Makefile.global, "false" if it is not set.
make_variable()
{
    local file value

    file=$(dirname "$("$PG_CONFIG" --pgxs)")/../Makefile.global
    value=$(sed -n "s/^$1[[:space:]]*=[[:space:]]*//p" "$file" | tail -n 1)
    printf '%s\n' "${value:-false}"
}

# Makes links in the private tree to the entries of a directory, less churn's.
link_entries()
{
    local entry

    [ -d "$1" ] || return 0
    mkdir -p "$PRIVATE$1"
    for entry in "$1"/*; do
        case ${entry##*/} in
            churn | churn.* | churn-*) ;;
            *) ln -sfn "$entry" "$PRIVATE$1/" ;;
        esac
    done
}

# Copies the server's programs and links the rest, so that churn can be
# installed there without root and without touching the system.
make_private_postgres()
{
    local lib share

    PRIVATE=$WORK/postgresql
    lib=$("$PG_CONFIG" --pkglibdir)
    share=$("$PG_CONFIG" --sharedir)
    mkdir -p "$PRIVATE$PG_BIN"
    cp "$PG_BIN"/* "$PRIVATE$PG_BIN/"
    link_entries "$lib"
    if [ -d "$lib/bitcode" ]; then
        rm -f "$PRIVATE$lib/bitcode"
        link_entries "$lib/bitcode"
    fi
    link_entries "$share"
    rm -f "$PRIVATE$share/extension"
    link_entries "$share/extension"
    PRIVATE_BIN=$PRIVATE$PG_BIN
    export CHURN_TRAINER=$PRIVATE$lib/churn-trainer
    quietly "$WORK/install.log" make -s -C "$BUILD" -f "$ROOT/Makefile" \
        PG_CONFIG="$PG_CONFIG" DESTDIR="$PRIVATE" "${MAKE_VARIABLES[@]}" install ||
        die "the installation failed; see above"
    hand_over "$PRIVATE"
    PATH=$PRIVATE_BIN:$PATH
    export PATH
}

# Starts the private server with the configuration lines given.
start_server()
{
    as_server "$PRIVATE_BIN/initdb" -D "$WORK/data" -A trust -U postgres \
        -E UTF8 --no-locale -N >"$WORK/initdb.log" 2>&1 || {
        cat "$WORK/initdb.log" >&2
        die "initdb failed"
    }
    as_server mkdir -m 0700 "$WORK/socket"
    {
        printf "listen_addresses = ''\n"
        printf "unix_socket_directories = '%s'\n" "$WORK/socket"
        printf "log_min_messages = warning\n"
        printf '%s\n' "$@"
    } | as_server tee -a "$WORK/data/postgresql.conf" >/dev/null
    as_server "$PRIVATE_BIN/pg_ctl" -D "$WORK/data" -l "$WORK/server.log" \
        -w -t 60 start >"$WORK/start.log" 2>&1 || {
        cat "$WORK/start.log" "$WORK/server.log" >&2
        die "the private server did not start"
    }
    export PGHOST=$WORK/socket PGUSER=postgres PGDATABASE=postgres
    unset PGPORT PGSERVICE PGOPTIONS PGPASSWORD PGHOSTADDR
}

# Stops the private server if it runs.
stop_server()
{
    if [ -n "$PRIVATE_BIN" ] && [ -f "$WORK/data/postmaster.pid" ]; then
        as_server "$PRIVATE_BIN/pg_ctl" -D "$WORK/data" -m fast -w -t 60 \
            stop >/dev/null 2>&1 ||
            as_server "$PRIVATE_BIN/pg_ctl" -D "$WORK/data" -m immediate \
                stop >/dev/null 2>&1 || true
    fi
}

# psql without the user's own settings, stopping at the first error.
run_psql()
{
    "$PRIVATE_BIN/psql" -X -q -v ON_ERROR_STOP=1 --pset=pager=off "$@"
}
