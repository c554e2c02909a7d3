# The second way to reserve the address: Terraform instead of `standfast reserve`.
resource "openstack_networking_port_v2" "vrrp" {
  name           = "vrrp-10.10.0.240"
  network_id     = openstack_networking_network_v2.my_net.id
  admin_state_up = true
  # Keeps the older CPIs from taking the port for a leftover and deleting it.
  device_owner = "vrrp:reserved"
  tags         = ["vrrp-vip"]

  fixed_ip {
    subnet_id  = openstack_networking_subnet_v2.my_subnet.id
    ip_address = "10.10.0.240"
  }
}

# The members have to hear one another: IP protocol 112, VRRP.
resource "openstack_networking_secgroup_v2" "vrrp" {
  name = "vrrp-members"
}

resource "openstack_networking_secgroup_rule_v2" "vrrp" {
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "vrrp"
  remote_group_id   = openstack_networking_secgroup_v2.vrrp.id
  security_group_id = openstack_networking_secgroup_v2.vrrp.id
}
