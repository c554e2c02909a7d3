#!/usr/bin/env python3
"""First boot only: catalog, service users, project 'bosh' (needs keystone up)."""
import openstack, sys, os
c = openstack.connect(auth_url="http://127.0.0.1:5000/v3", username="admin", password="admin", project_name="admin",
                      user_domain_name="Default", project_domain_name="Default", region_name="RegionOne")
i = c.identity
svc = i.create_project(name="service", domain_id="default")
roles = {r.name: r for r in i.roles()}
for r in ("service", "reader", "member", "admin"):
    if r not in roles: roles[r] = i.create_role(name=r)
for name in ("placement", "glance", "neutron", "nova", "cinder", "octavia"):
    u = i.create_user(name=name, password="lab", domain_id="default")
    for r in ("admin", "service"):
        i.assign_project_role_to_user(svc, u, roles[r])
eps = {("placement", "placement"): "http://127.0.0.1:8778", ("image", "glance"): "http://127.0.0.1:9292",
       ("load-balancer", "octavia"): "http://127.0.0.1:9876", ("network", "neutron"): "http://127.0.0.1:9696", ("compute", "nova"): "http://127.0.0.1:8774/v2.1",
       ("volumev3", "cinderv3"): "http://127.0.0.1:8776/v3/$(project_id)s",
       ("block-storage", "cinder"): "http://127.0.0.1:8776/v3/$(project_id)s"}
for (t, n), url in eps.items():
    s = i.create_service(type=t, name=n)
    for iface in ("public", "internal", "admin"):
        i.create_endpoint(service_id=s.id, interface=iface, url=url, region_id="RegionOne")
p = i.create_project(name="bosh", domain_id="default")
u = i.create_user(name="bosh", password="bosh", domain_id="default", default_project_id=p.id)
i.assign_project_role_to_user(p, u, roles["member"])
lbm = i.create_role(name="load-balancer_member")
i.assign_project_role_to_user(p, u, lbm)
adm = i.find_user("admin")
i.assign_project_role_to_user(p, adm, roles["admin"])
print("catalog ok, project bosh", p.id)
