//! Nova: a server's life, what hangs on it, and Nova's refusals.

use std::collections::BTreeMap;

use openstack::compute::{Reboot, ServerCreate, ServerNetwork};
use openstack::network::PortCreate;
use openstack::volume::VolumeCreate;
use openstack::{Client, Deletion, ErrorKind, OrNone, Origin, Query};

use crate::lab::{AtTheEnd, OwnNetwork, client, unique, wait_for};

fn ingredients(client: &Client) -> (String, String) {
    let flavor =
        client.compute().flavors().unwrap().into_iter().find(|flavor| flavor.name == "m1.tiny").unwrap();
    let image = client.image().images_named("tiny-raw").unwrap().remove(0);
    (flavor.id, image.id)
}

fn wait_for_server(client: &Client, id: &str, status: &str) {
    wait_for(&format!("server {status}"), || {
        let server = client.compute().server(id)?;
        assert!(server.status != "ERROR", "{server:?}");
        Ok((server.status == status && server.task_state.is_none()).then_some(()))
    });
}

#[test]
fn a_server_lives_with_a_port_metadata_and_a_volume() {
    let Some(client) = client() else { return };
    let nova = client.compute();
    let (flavor, image) = ingredients(&client);
    let own = OwnNetwork::new(&client, "10.95.0.0/24");
    let port = client
        .network()
        .create_port(&PortCreate { network_id: own.network.id.clone(), ..PortCreate::default() })
        .unwrap();
    let name = unique("vm");
    let create = ServerCreate {
        name: name.clone(),
        flavor_ref: flavor.clone(),
        image_ref: Some(image),
        user_data: Some("eyJhIjoxfQ==".into()),
        key_name: Some("bosh".into()),
        networks: Some(vec![ServerNetwork { uuid: None, port: Some(port.id.clone()), fixed_ip: None }]),
        config_drive: Some(true),
        metadata: Some(BTreeMap::from([("director".into(), "d".into())])),
        ..ServerCreate::default()
    };
    let named = |name: &str| Ok(nova.servers_named(name)?.into_iter().map(|server| server.id).collect());
    let created = client
        .create_or_find(|| nova.create_server(&create).map(|server| server.id), || named(&name))
        .unwrap();
    assert_eq!(created.origin, Origin::Answered);
    let id = created.made;
    let _end = AtTheEnd(|| {
        let _ = nova.delete_server(&id);
        wait_for("the server's end", || Ok(nova.server(&id).or_none()?.is_none().then_some(())));
    });
    wait_for_server(&client, &id, "ACTIVE");

    let server = nova.server(&id).unwrap();
    assert_eq!((server.name.as_str(), server.flavor.id.as_str()), (name.as_str(), flavor.as_str()));
    assert!(server.image.is_some() && !server.host_id.is_empty());
    assert_eq!(server.availability_zone.as_deref(), Some("nova"));
    assert_eq!(nova.servers_named(&name).unwrap().len(), 1);
    let interfaces = nova.interfaces(&id).unwrap();
    assert_eq!((interfaces.len(), interfaces[0].port_id.as_str()), (1, port.id.as_str()));
    let addresses = &server.addresses[&own.network.name];
    assert_eq!((addresses[0].mac.as_str(), addresses[0].kind.as_str()), (port.mac_address.as_str(), "fixed"));

    nova.set_server_metadata(&id, &BTreeMap::from([("job".into(), "web".into())])).unwrap();
    assert_eq!(
        nova.server_metadata(&id).unwrap(),
        BTreeMap::from([("director".into(), "d".into()), ("job".into(), "web".into())])
    );
    assert_eq!(nova.server_metadata_item(&id, "job").unwrap(), "web");
    assert_eq!(nova.delete_server_metadata(&id, "job").unwrap(), Deletion::Accepted);
    assert_eq!(nova.server_metadata_item(&id, "job").or_none().unwrap(), None);
    assert_eq!(nova.rename_server(&id, &format!("{name}-b")).unwrap().name, format!("{name}-b"));
    nova.reboot_server(&id, Reboot::Soft).unwrap();
    wait_for_server(&client, &id, "ACTIVE");

    let volume = client
        .volume()
        .create_volume(&VolumeCreate { name: Some(unique("disk")), size: 1, ..VolumeCreate::default() })
        .unwrap();
    let status = |wanted: &str| {
        wait_for(wanted, || Ok((client.volume().volume(&volume.id)?.status == wanted).then_some(())));
    };
    status("available");
    let attached = nova.attach_volume(&id, &volume.id, None).unwrap();
    assert!(attached.device.as_deref().is_some_and(|device| device.starts_with("/dev/")), "{attached:?}");
    status("in-use");
    let again = nova.attach_volume(&id, &volume.id, None).unwrap_err();
    assert!(matches!(again.kind(), ErrorKind::BadRequest | ErrorKind::Conflict), "{again}");
    assert_eq!(nova.volume_attachments(&id).unwrap().len(), 1);
    assert_eq!(client.volume().volume(&volume.id).unwrap().attachments[0].server_id, id);
    assert_eq!(nova.detach_volume(&id, &volume.id).unwrap(), Deletion::Accepted);
    status("available");
    assert_eq!(client.volume().delete_volume(&volume.id).unwrap(), Deletion::Accepted);

    assert_eq!(nova.delete_server(&id).unwrap(), Deletion::Accepted);
    wait_for("the server's end", || Ok(nova.server(&id).or_none()?.is_none().then_some(())));
    assert_eq!(nova.delete_server(&id).unwrap(), Deletion::Gone);
}

#[test]
fn refusals_come_in_novas_words_and_without_user_data() {
    let Some(client) = client() else { return };
    let nova = client.compute();
    let (flavor, image) = ingredients(&client);
    let create = |user_data: &str, network: &str| ServerCreate {
        name: unique("never"),
        flavor_ref: flavor.clone(),
        image_ref: Some(image.clone()),
        user_data: Some(user_data.into()),
        networks: Some(vec![ServerNetwork { uuid: Some(network.into()), port: None, fixed_ip: None }]),
        ..ServerCreate::default()
    };
    let network = client.network().networks(&Query::new().filter("name", "prov")).unwrap().remove(0).id;
    let error = nova.create_server(&create("this is secret, and no base64 {}", &network)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::BadRequest, Some("badRequest")), "{error}");
    assert!(!format!("{error}{error:?}").contains("this is secret"), "{error}");
    assert!(error.message().contains("user_data"), "{error}");

    let error = nova.create_server(&create("YQ==", "00000000-0000-0000-0000-000000000000")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest, "{error}");
    assert!(error.message().contains("00000000-0000-0000-0000-000000000000"), "{error}");
    let error = nova.server("00000000-0000-0000-0000-000000000000").unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("itemNotFound")), "{error}");
    assert!(error.request_id().is_some(), "{error}");
}

#[test]
fn flavors_keys_groups_and_zones() {
    let Some(client) = client() else { return };
    let nova = client.compute();
    let flavors = nova.flavors().unwrap();
    assert!(
        flavors.iter().any(|flavor| flavor.name == "m1.small" && flavor.ephemeral > 0 && flavor.vcpus > 0)
    );
    assert_eq!(nova.flavor(&flavors[0].id).unwrap().name, flavors[0].name);
    assert!(
        nova.availability_zones().unwrap().iter().any(|zone| zone.name == "nova" && zone.state.available)
    );

    assert!(nova.keypairs().unwrap().iter().any(|key| key.name == "bosh"));
    let bosh = nova.keypair("bosh").unwrap();
    let name = unique("key");
    let imported = nova.import_keypair(&name, &bosh.public_key).unwrap();
    assert_eq!(imported.fingerprint, bosh.fingerprint);
    let twice = nova.import_keypair(&name, &bosh.public_key).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict, "{twice}");
    assert_eq!(nova.delete_keypair(&name).unwrap(), Deletion::Accepted);
    assert_eq!(nova.delete_keypair(&name).unwrap(), Deletion::Gone);

    let name = unique("servers");
    let group = nova.create_server_group(&name, "soft-anti-affinity").unwrap();
    assert_eq!(group.policies, ["soft-anti-affinity"]);
    assert!(nova.server_groups().unwrap().contains(&group));
    assert_eq!(nova.server_group(&group.id).unwrap(), group);
    assert_eq!(nova.delete_server_group(&group.id).unwrap(), Deletion::Accepted);
    assert_eq!(nova.delete_server_group(&group.id).unwrap(), Deletion::Gone);
}
