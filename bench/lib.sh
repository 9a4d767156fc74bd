# shellcheck shell=bash
#
# lib.sh: what bench/run and bench/quality share.  Sourced after
# scripts/lib.sh.

# Installs those of the packages given that are missing.
install_peers()
{
    local package missing=() privileged=()

    has dpkg-query || return 0
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! is_root; then
        has sudo || die "these packages are missing: ${missing[*]}"
        privileged=(sudo)
    fi
    say "Installing ${missing[*]} ..."
    "${privileged[@]}" apt-get update -q >/dev/null || true
    "${privileged[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

# After --keep, says how to reach the server and how to end it.
say_how_to_end()
{
    local stop

    [ "$KEEP_WORK" = yes ] || return 0
    stop="$PRIVATE_BIN/pg_ctl -D $WORK/data stop && rm -r $WORK"
    is_root && stop="cd / && runuser -u $SERVER_USER -- $stop"
    say
    say "The server keeps running. Connect: psql -h $PGHOST -U postgres -d bench"
    say "End it: $stop"
}
