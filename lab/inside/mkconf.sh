#!/usr/bin/env bash
# Writes the configuration of every service into the instance.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
rm -rf $ETC/neutron
mkdir -p $ETC/{keystone,neutron,nova,glance,placement,cinder,octavia,rabbit} $LAB_STATE $LOG $PIDS
db() { echo "mysql+pymysql://root@127.0.0.1/$1?charset=utf8mb4"; }
common() { cat <<X
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:5672/
log_dir =
log_file =
use_stderr = true
debug = ${DEBUG:-false}
host = $LABHOST
my_ip = 127.0.0.1
X
}
authtoken() { cat <<X
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:5000
auth_url = http://127.0.0.1:5000
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = $1
password = $SVCPASS
region_name = RegionOne
service_token_roles = service
service_token_roles_required = true
X
}
creds() { cat <<X
[$1]
auth_url = http://127.0.0.1:5000
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = $2
password = $SVCPASS
region_name = RegionOne
X
}
pool() { cat <<X
[oslo_messaging_notifications]
driver = noop
[oslo_concurrency]
lock_path = $RAM/tmp
[database]
connection = $(db $1)
max_pool_size = 5
max_overflow = 20
X
}
privsep() { for s in "$@"; do printf '[%s]\nhelper_command = %s/bin/privsep-helper --config-file %s\n' $s $VENV $CONF; done; }

# --- keystone
{ printf '[DEFAULT]\nuse_stderr=true\n[database]\nconnection = %s\n' "$(db keystone)"
cat <<X
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = $ETC/keystone/fernet-keys
[credential]
key_repository = $ETC/keystone/credential-keys
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_messaging_notifications]
driver = noop
X
} > $ETC/keystone/keystone.conf

# --- placement
{ printf '[DEFAULT]\nuse_stderr=true\n[api]\nauth_strategy = keystone\n[placement_database]\nconnection = %s\n' "$(db placement)"; authtoken placement; } > $ETC/placement/placement.conf

# --- glance
{ common | grep -v '^host\|^my_ip'; cat <<X
bind_host = 127.0.0.1
bind_port = 9292
workers = 0
enabled_backends = file:file
show_image_direct_url = true
[glance_store]
default_backend = file
[file]
filesystem_store_datadir = $RAM/glance
[paste_deploy]
flavor = keystone
config_file = $VENV/etc/glance/glance-api-paste.ini
[oslo_policy]
enforce_scope = true
X
pool glance; authtoken glance; } > $ETC/glance/glance-api.conf

# --- neutron
CONF=$ETC/neutron/neutron.conf
{ common | grep -v my_ip; cat <<X
bind_host = 127.0.0.1
bind_port = 9696
api_workers = 1
rpc_workers = 1
rpc_state_report_workers = 0
core_plugin = ml2
service_plugins = $([ $LAB_BACKEND = ovn ] && echo ovn-router || echo router)
auth_strategy = keystone
state_path = $RAM/neutron
api_paste_config = $VENV/etc/neutron/api-paste.ini
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
allow_overlapping_ips = true
max_allowed_address_pair = 100
interface_driver = linuxbridge
dhcp_agents_per_network = 1
agent_down_time = 60
global_physnet_mtu = 1500
[experimental]
linuxbridge = true
[agent]
root_helper =
report_interval = 3
X
pool neutron; authtoken neutron; creds nova nova; creds placement placement
privsep privsep privsep_conntrack privsep_dhcp_release privsep_ovs_vsctl privsep_namespace privsep_link
} > $ETC/neutron/neutron.conf
cat > $ETC/neutron/ml2-lb.ini <<X
[ml2]
type_drivers = flat,local,vxlan
tenant_network_types = vxlan
mechanism_drivers = linuxbridge
extension_drivers = port_security
[ml2_type_flat]
flat_networks = physnet1,physnet2
[ml2_type_vxlan]
vni_ranges = 100:199
[securitygroup]
enable_security_group = true
enable_ipset = true
firewall_driver = iptables
[linux_bridge]
physical_interface_mappings = physnet1:phy0,physnet2:phy1
[vxlan]
enable_vxlan = true
local_ip = 10.255.255.1
l2_population = false
vxlan_group = 224.0.0.99
[agent]
polling_interval = 1
X
cat > $ETC/neutron/ml2-ovn.ini <<X
[ml2]
type_drivers = flat,local,geneve
tenant_network_types = geneve
mechanism_drivers = ovn
extension_drivers = port_security
overlay_ip_version = 4
[ml2_type_flat]
flat_networks = physnet1,physnet2
[ml2_type_geneve]
vni_ranges = 100:199
max_header_size = 38
[securitygroup]
enable_security_group = true
[ovn]
ovn_nb_connection = unix:$RAM/ovs/ovnnb_db.sock
ovn_sb_connection = unix:$RAM/ovs/ovnsb_db.sock
ovn_metadata_enabled = false
X
cat > $ETC/neutron/dhcp_agent.ini <<X
[DEFAULT]
interface_driver = linuxbridge
dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq
enable_isolated_metadata = false
X
cat > $ETC/neutron/l3_agent.ini <<X
[DEFAULT]
interface_driver = linuxbridge
enable_metadata_proxy = false
X

# --- nova
CONF=$ETC/nova/nova.conf
{ common; cat <<X
compute_driver = ${COMPUTE_DRIVER:-labnetns.NetnsDriver}
enabled_apis = osapi_compute
osapi_compute_listen = 127.0.0.1
osapi_compute_workers = 1
metadata_workers = 1
state_path = $RAM/nova
instances_path = $RAM/nova/instances
vif_plugging_is_fatal = false
vif_plugging_timeout = 30
resume_guests_state_on_host_boot = false
report_interval = 3
service_down_time = 60
rootwrap_config =
[wsgi]
api_paste_config = $VENV/etc/nova/api-paste.ini
[api_database]
connection = $(db nova_api)
max_pool_size = 5
max_overflow = 20
[conductor]
workers = 1
[scheduler]
workers = 1
discover_hosts_in_cells_interval = 5
[glance]
endpoint_override = http://127.0.0.1:9292
[vnc]
enabled = false
[key_manager]
backend = nova.keymgr.conf_key_mgr.ConfKeyManager
fixed_key = 0000000000000000000000000000000000000000000000000000000000000000
[cache]
enabled = false
[compute]
resource_provider_association_refresh = 300
[filter_scheduler]
track_instance_changes = false
X
pool nova; authtoken nova; creds neutron neutron; creds placement placement; creds service_user nova; echo "send_service_user_token = true"
creds cinder nova; printf 'catalog_info = volumev3::publicURL\nos_region_name = RegionOne\n'
privsep nova_sys_admin vif_plug_linux_bridge_privileged vif_plug_ovs_privileged privsep_osbrick
} > $ETC/nova/nova.conf
echo 1ab1ab1a-0000-4000-8000-000000000001 > $ETC/nova/compute_id   # stable node identity (looked up next to the config file)
# nova-compute must not see the databases
sed -e '/^\[api_database\]/,/^\[conductor\]/{/^\[conductor\]/!d}' -e '/^\[database\]/,/^\[keystone_authtoken\]/{/^\[keystone_authtoken\]/!d}' $ETC/nova/nova.conf > $ETC/nova/nova-compute.conf

# --- cinder
CONF=$ETC/cinder/cinder.conf
{ common; cat <<X
osapi_volume_listen = 127.0.0.1
osapi_volume_workers = 1
state_path = $RAM/cinder
api_paste_config = $VENV/etc/cinder/api-paste.ini
enabled_backends = ${CINDER_BACKEND:-nfs}
default_volume_type = default
glance_api_servers = http://127.0.0.1:9292
auth_strategy = keystone
rootwrap_config =
volume_clear = none
backend_host = $LABHOST
resource_query_filters_file = $VENV/etc/cinder/resource_filters.json
[nfs]
volume_driver = cinder.volume.drivers.nfs.NfsDriver
volume_backend_name = nfs
nfs_shares_config = $ETC/cinder/nfs_shares
nfs_mount_point_base = $RAM/cinder/mnt
nas_secure_file_operations = false
nas_secure_file_permissions = false
nfs_snapshot_support = true
nfs_sparsed_volumes = true
[fake]
volume_driver = cinder.tests.fake_driver.FakeGateDriver
volume_backend_name = fake
[key_manager]
backend = cinder.keymgr.conf_key_mgr.ConfKeyManager
fixed_key = 0000000000000000000000000000000000000000000000000000000000000000
X
pool cinder; authtoken cinder; creds service_user cinder; echo "send_service_user_token = true"; creds nova nova; echo "interface = public"
privsep cinder_sys_admin privsep_osbrick
} > $ETC/cinder/cinder.conf
echo "127.0.0.1:/volumes" > $ETC/cinder/nfs_shares

# --- octavia: the API and a driver that carries out nothing (inside/python/laboctavia.py)
{ common | grep -v '^host\|^my_ip'; cat <<X
[api_settings]
bind_host = 127.0.0.1
bind_port = 9876
auth_strategy = keystone
enabled_provider_drivers = lab: carries out nothing and reports ACTIVE
default_provider_driver = lab
allow_ping_health_monitors = true
allow_tls_terminated_listeners = false
[controller_worker]
network_driver = allowed_address_pairs_driver
[certificates]
cert_manager = noop_cert_manager
[oslo_messaging]
topic = octavia_prov
[oslo_policy]
enforce_scope = true
X
pool octavia; authtoken octavia; creds service_auth octavia; creds neutron octavia
} > $ETC/octavia/octavia.conf

# --- uwsgi (Connection: close + post-buffering: otherwise clients that reuse connections see random resets)
uw() { cat > $ETC/uwsgi-$1.ini <<X
[uwsgi]
plugins = python3
http-socket = 127.0.0.1:$2
wsgi-file = $VENV/bin/$3
virtualenv = $VENV
processes = ${UWSGI_PROCESSES:-1}
threads = 4
enable-threads = true
master = true
lazy-apps = true
die-on-term = true
need-app = true
buffer-size = 65535
post-buffering = 65535
add-header = Connection: close
disable-logging = true
X
}
uw keystone 5000 keystone-wsgi-public
uw placement 8778 placement-api
uw octavia 9876 octavia-wsgi
echo "pyargv = --config-file $ETC/octavia/octavia.conf" >>$ETC/uwsgi-octavia.ini

# --- mariadb
cat > $ETC/my.cnf <<X
[mysqld]
user=root
datadir=$RAM/mysql
socket=$RAM/mysql.sock
pid-file=$RAM/mysql.pid
bind-address=127.0.0.1
port=3306
skip-name-resolve
skip-grant-tables
skip-log-bin
innodb_flush_log_at_trx_commit=0
innodb_doublewrite=0
innodb_buffer_pool_size=192M
innodb_log_file_size=32M
performance_schema=OFF
max_connections=600
character-set-server=utf8mb4
collation-server=utf8mb4_general_ci
X
# --- rabbit
cat > $ETC/rabbit/rabbitmq.conf <<X
listeners.tcp.1 = 127.0.0.1:5672
loopback_users = none
log.console = true
log.file = false
disk_free_limit.absolute = 50MB
X
echo '[].' > $ETC/rabbit/enabled_plugins
