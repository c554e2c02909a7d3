#!/usr/bin/env bash
# What a compiler does not see: file lengths, `unsafe` outside its crate, dependencies that point upwards.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
complain() { echo "tidy: $*" >&2; bad=1; }

while read -r lines file; do
  [ "$lines" -le 1000 ] || complain "$file has $lines lines; one subject each"
done < <(git ls-files '*.rs' | xargs wc -l | awk '$2 != "total"')

for root in crates/*/src/lib.rs crates/*/src/main.rs; do
  [ -e "$root" ] || continue
  case $root in crates/vrrp-linux/*) continue ;; esac
  grep -q 'forbid(unsafe_code)' "$root" || complain "$root does not forbid unsafe code"
done

# Law 1: no crate below the executables reads a clock or does I/O by itself.
if grep -nE 'std::(fs|net::(Tcp|Udp)|process|thread)|SystemTime|Instant::now' -r crates/vrrp/src; then
  complain "crates/vrrp does I/O or reads a clock"
fi

# One direction of dependency.
if grep -nE '^(standfastd|standfast|openstack-cpi) *=' crates/*/Cargo.toml; then
  complain "a crate depends on an executable's crate"
fi
if sed -n '/^\[dependencies\]/,/^\[/p' crates/vrrp/Cargo.toml | grep -nE '^[a-z].*='; then
  complain "vrrp depends on something"
fi
exit $bad
