#!/usr/bin/env bash
# inside the lab: create databases and schemas (first boot only; later boots use the template)
set -euo pipefail
. "$(dirname "$0")/../env.sh"
for d in keystone placement glance neutron nova_api nova nova_cell0 cinder octavia; do echo "CREATE DATABASE IF NOT EXISTS $d;"; done | mariadb --no-defaults -h127.0.0.1 -uroot
T() { local t=$SECONDS n=$1; shift; "$@" >> $LOG/sync-$n.log 2>&1 || { echo "FAILED $n: $*"; tail -5 $LOG/sync-$n.log; return 1; }; echo "sync $n $((SECONDS-t))s"; }
export OS_KEYSTONE_CONFIG_DIR=$ETC/keystone
a() { T keystone keystone-manage --config-file $ETC/keystone/keystone.conf db_sync
  T glance glance-manage --config-file $ETC/glance/glance-api.conf db_sync
  T glance glance-manage --config-file $ETC/glance/glance-api.conf db_load_metadefs $VENV/etc/glance/metadefs || true
  T placement placement-manage --config-file $ETC/placement/placement.conf db sync
  T octavia octavia-db-manage --config-file $ETC/octavia/octavia.conf upgrade head
  T cinder cinder-manage --config-file $ETC/cinder/cinder.conf db sync; }
b() { T neutron neutron-db-manage --config-file $ETC/neutron/neutron.conf --config-file $ETC/neutron/ml2-$LAB_BACKEND.ini upgrade heads
  N="nova-manage --config-file $ETC/nova/nova.conf"
  T nova $N api_db sync
  T nova $N cell_v2 map_cell0 --database_connection "mysql+pymysql://root@127.0.0.1/nova_cell0?charset=utf8mb4"
  T nova $N cell_v2 create_cell --name cell1 
  T nova $N db sync; }
a & A=$!; b & B=$!; wait $A; wait $B
mkdir -p $ETC/keystone/{fernet,credential}-keys; chmod 700 $ETC/keystone/*-keys
K="keystone-manage --config-file $ETC/keystone/keystone.conf"
T keystone $K fernet_setup --keystone-user root --keystone-group root
T keystone $K credential_setup --keystone-user root --keystone-group root
U=http://127.0.0.1:5000/v3
T keystone $K bootstrap --bootstrap-password $ADMINPASS --bootstrap-admin-url $U --bootstrap-internal-url $U --bootstrap-public-url $U --bootstrap-region-id RegionOne
