"""Wait until every agent/service reports a heartbeat newer than this script's start (DB rows may be stale from the template)."""
import os, pymysql, time, sys
t0 = time.time(); need = {}
c = pymysql.connect(host="127.0.0.1", user="root", autocommit=True); cur = c.cursor()
cur.execute("select utc_timestamp()"); start = cur.fetchone()[0]
WANT = {"neutron:Linux bridge agent", "nova:nova-compute", "nova:nova-conductor", "nova:nova-scheduler", "cinder:cinder-volume", "cinder:cinder-scheduler"}
if os.environ.get("LAB_BACKEND") == "ovn": WANT.discard("neutron:Linux bridge agent")   # OVN chassis are not rows of this table
if "--agents" in sys.argv: WANT |= {"neutron:DHCP agent", "neutron:L3 agent"}
while True:
    seen = {}
    cur.execute("select agent_type, heartbeat_timestamp from neutron.agents"); seen.update({"neutron:" + a: b for a, b in cur.fetchall()})
    cur.execute("select `binary`, coalesce(last_seen_up, updated_at) from nova.services where deleted=0"); seen.update({"nova:" + a: b for a, b in cur.fetchall()})
    cur.execute("select `binary`, updated_at from cinder.services where deleted=0"); seen.update({"cinder:" + a: b for a, b in cur.fetchall()})
    missing = [w for w in WANT if not seen.get(w) or seen[w] < start]
    cur.execute("select count(*) from nova_api.host_mappings"); hm = cur.fetchone()[0]
    if not hm: missing.append("nova:host_mapping")
    if missing != need.get('last'): print('  waiting %.0fs for %s' % (time.time() - t0, ', '.join(sorted(missing))), flush=True); need['last'] = missing
    if not missing: break
    if time.time() - t0 > 120: print("NOT READY:", missing); sys.exit(1)
    time.sleep(0.3)
