# Two router hosts a and b and a client c on one LAN, in network namespaces that end with the calling process.
# Sourced inside `unshare --mount --net`; /run is private, so names and sockets collide with nobody's.
set -euo pipefail
mount -t tmpfs tmpfs /run
mkdir /run/netns
for host in lan a b c; do
  ip netns add "$host"
  ip -n "$host" link set lo up
done
ip -n lan link add br0 type bridge mcast_snooping 0
ip -n lan link set br0 up
number=1
for host in a b c; do
  ip -n lan link add "to-$host" type veth peer name eth0 netns "$host"
  ip netns exec "$host" sysctl -qw net.ipv6.conf.eth0.accept_dad=0
  ip -n "$host" link set eth0 address "02:00:00:00:00:0$number"
  ip -n lan link set "to-$host" master br0 up
  ip -n "$host" address add "10.0.0.$number/24" dev eth0
  ip -n "$host" address add "fd00::$number/64" dev eth0 nodad
  ip -n "$host" link set eth0 up
  number=$((number + 1))
done

# router_conf PRIORITY VERSION INTERVAL ADDRESSES EXTRA...
router_conf() {
  echo "vrrp_instance VI_1 {"
  echo "  interface eth0"
  echo "  virtual_router_id 51"
  echo "  priority $1"
  echo "  version $2"
  echo "  advert_int $3"
  printf '  virtual_ipaddress {\n'
  for address in $4; do echo "    $address"; done
  printf '  }\n'
  printf '%s\n' "${5:-}"
  echo "}"
}

# start HOST PROGRAM CONF: leaves the process id in $started
start() {
  ip netns exec "$1" "$2" -n -l -D -P -f "$3" -p "/run/$1.pid" -r "/run/$1-vrrp.pid" >"$3.log" 2>&1 &
  started=$!
}

# Not grep -q: it ends early, and with pipefail the broken pipe of `ip` would count.
holder() { for host in a b; do ip -n "$host" -o address | grep -F " $1/" >/dev/null && echo -n "$host"; done; echo; }

# wait_holder ADDRESS HOST SECONDS
wait_holder() {
  for _ in $(seq $(($3 * 50))); do
    [ "$(holder "$1")" = "$2" ] && return 0
    sleep 0.02
  done
  echo "after $3 s $1 is with '$(holder "$1")', not with '$2'" >&2
  return 1
}
