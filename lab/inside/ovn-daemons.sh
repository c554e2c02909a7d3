#!/usr/bin/env bash
# INSIDE the lab: userspace (netdev) Open vSwitch + OVN, unpacked under $LAB/ovs/root, state in $RAM/ovs
set -euo pipefail
. "$(dirname "$0")/../env.sh"
D=$RAM/ovs
[ -f $D/conf.db ] || ovsdb-tool create $D/conf.db /usr/share/openvswitch/vswitch.ovsschema
[ -f $D/ovnnb_db.db ] || ovsdb-tool create $D/ovnnb_db.db /usr/share/ovn/ovn-nb.ovsschema
[ -f $D/ovnsb_db.db ] || ovsdb-tool create $D/ovnsb_db.db /usr/share/ovn/ovn-sb.ovsschema
d() { n=$1; shift; setsid "$@" >> $LOG/$n.log 2>&1 < /dev/null & echo $! > $PIDS/$n; }
d ovsdb ovsdb-server $D/conf.db --remote=punix:$D/db.sock --unixctl=$D/ovsdb.ctl
d ovnnb ovsdb-server $D/ovnnb_db.db --remote=punix:$D/ovnnb_db.sock --unixctl=$D/ovnnb.ctl
d ovnsb ovsdb-server $D/ovnsb_db.db --remote=punix:$D/ovnsb_db.sock --unixctl=$D/ovnsb.ctl
for i in $(seq 50); do [ -S $D/db.sock ] && [ -S $D/ovnnb_db.sock ] && [ -S $D/ovnsb_db.sock ] && break; sleep 0.1; done
ovs-vsctl --no-wait init
ovs-vsctl --no-wait set Open_vSwitch . external-ids:system-id=lab external-ids:hostname=$LABHOST external-ids:ovn-remote=unix:$D/ovnsb_db.sock \
  external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip=127.0.0.1 external-ids:ovn-bridge-datapath-type=netdev external-ids:ovn-bridge-mappings=physnet1:br-ex,physnet2:br-ex2 external-ids:ovn-cms-options=enable-chassis-as-gw
d vswitchd ovs-vswitchd unix:$D/db.sock --unixctl=$D/vswitchd.ctl
ovs-vsctl --timeout=20 --may-exist add-br br-int -- set Bridge br-int datapath_type=netdev fail-mode=secure
ovs-vsctl --timeout=20 --may-exist add-br br-ex -- set Bridge br-ex datapath_type=netdev -- --may-exist add-port br-ex phy0
ovs-vsctl --timeout=20 --may-exist add-br br-ex2 -- set Bridge br-ex2 datapath_type=netdev -- --may-exist add-port br-ex2 phy1
d northd ovn-northd --ovnnb-db=unix:$D/ovnnb_db.sock --ovnsb-db=unix:$D/ovnsb_db.sock --unixctl=$D/northd.ctl
d ovncontroller ovn-controller unix:$D/db.sock
