# Sourced by every script of the lab: names and places. Changes nothing.
# shellcheck shell=bash disable=SC2034  # the variables are for the scripts that source this

# One checkout can run several labs side by side, each an *instance*: its own namespaces, its own state folder.
#   LAB_INSTANCE  name of the instance; default: the back end's name
#   LAB_BACKEND   lb = linuxbridge agent with iptables, ovn = OVN on userspace Open vSwitch
#   LAB_STATE     the instance's folder; default: lab/.state/NAME
LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
LAB_INSTANCE=${LAB_INSTANCE:-${LAB_BACKEND:-lb}}
LAB_STATE=${LAB_STATE:-$LAB/.state/$LAB_INSTANCE}
if [ -z "${LAB_BACKEND:-}" ]; then
  if [ -f "$LAB_STATE/backend" ]; then LAB_BACKEND=$(<"$LAB_STATE/backend")
  elif [ "$LAB_INSTANCE" = ovn ]; then LAB_BACKEND=ovn
  else LAB_BACKEND=lb; fi
fi

INSIDE=$LAB/inside      # what runs inside the namespaces
VENV=$LAB/.venv         # OpenStack, one for all instances
ETC=$LAB_STATE/etc      # generated configuration
LOG=$LAB_STATE/log      # one file for each service
PIDS=$LAB_STATE/pid
RAM=$LAB_STATE/ram      # a tmpfs, visible inside the lab only: databases, images, volumes, servers
TEMPLATE=$LAB_STATE/template.tar
OVSRUN=$RAM/ovs

LABHOST=lab1            # host name inside, and the name of the first of two hypervisors
LAB_HOSTS=(lab1 lab2)   # lab1 is the namespace in which all services run, lab2 one with agents and bridges only
DBPASS=lab
SVCPASS=lab             # of the service users, on loopback in a private namespace
ADMINPASS="admin"
VOLMNT=$RAM/cinder/mnt/$(printf '127.0.0.1:/volumes' | md5sum | cut -c1-32)   # where cinder expects the share

unset PYTHONPATH PIP_CONFIG_FILE OS_CLOUD
export LAB LAB_INSTANCE LAB_BACKEND LAB_STATE
export PATH=$VENV/bin:$INSIDE/bin:$PATH:/usr/sbin:/sbin
# Open vSwitch and OVN keep their sockets, databases and logs with the instance; these are the first hypervisor's.
export OVS_RUNDIR=$OVSRUN OVS_DBDIR=$OVSRUN OVS_SYSCONFDIR=$OVSRUN OVS_LOGDIR=$LOG
export OVN_RUNDIR=$OVSRUN OVN_DBDIR=$OVSRUN OVN_SYSCONFDIR=$OVSRUN OVN_LOGDIR=$LOG

# Credentials for openstack's command.
as_user() {
  export OS_AUTH_URL=http://127.0.0.1:5000/v3 OS_IDENTITY_API_VERSION=3 OS_REGION_NAME=RegionOne OS_INTERFACE=public \
    OS_USERNAME=$1 OS_PASSWORD=$1 OS_PROJECT_NAME=$1 OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
}

# underlay_address HOST: its address on the wire that carries tunnels and the agents' messages.
underlay_address() { echo "10.255.255.${1#lab}"; }

# ovs_folder HOST: sockets and database of that hypervisor's Open vSwitch.
ovs_folder() { if [ "$1" = "$LABHOST" ]; then echo "$OVSRUN"; else echo "$OVSRUN/$1"; fi; }

# init_pid: the host's pid of the instance's pid 1, if it runs.
init_pid() {
  local pid
  pid=$(cat "$LAB_STATE/init.pid" 2>/dev/null) || return 1
  [ -r "/proc/$pid/cmdline" ] || return 1
  [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == *"/inside/init $LAB_STATE " ]] || return 1
  echo "$pid"
}
