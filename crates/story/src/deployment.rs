//! What the director makes of a cloud-config and a manifest, as far as `create_vm` and the jobs are concerned.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use yaml_rust2::{Yaml, YamlLoader};

/// Reads YAML and puts values in place of `((name))`.
pub(crate) fn read(text: &str, variables: &[(&str, &str)]) -> Result<Value> {
    let mut text = text.to_owned();
    for (name, value) in variables {
        text = text.replace(&format!("(({name}))"), value);
    }
    ensure!(!text.contains("(("), "a variable has no value: {}", text.split("((").nth(1).unwrap_or_default());
    let documents = YamlLoader::load_from_str(&text).context("not YAML")?;
    let [document] = documents.as_slice() else { bail!("{} documents instead of one", documents.len()) };
    to_json(document)
}

fn to_json(yaml: &Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::String(text) => json!(text),
        Yaml::Integer(number) => json!(number),
        Yaml::Real(text) => json!(text.parse::<f64>()?),
        Yaml::Boolean(truth) => json!(truth),
        Yaml::Null => Value::Null,
        Yaml::Array(items) => items.iter().map(to_json).collect::<Result<Vec<_>>>()?.into(),
        Yaml::Hash(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                map.insert(key.as_str().context("a key that is no text")?.to_owned(), to_json(value)?);
            }
            map.into()
        }
        Yaml::Alias(_) | Yaml::BadValue => bail!("an alias or a bad value"),
    })
}

fn named<'a>(list: &'a Value, name: &str, what: &str) -> Result<&'a Value> {
    list.as_array()
        .into_iter()
        .flatten()
        .find(|item| item["name"] == name)
        .with_context(|| format!("no {what} is called {name}"))
}

/// The cloud properties of the VMs of a group: AZ < `vm_type` < `vm_extensions`, key by key, nothing deeper
/// (`merged_cloud_properties.rb` of the director).
pub(crate) fn cloud_properties(cloud: &Value, group: &Value) -> Result<Value> {
    let mut merged = Map::new();
    let mut lay = |layer: &Value| {
        for (key, value) in layer["cloud_properties"].as_object().into_iter().flatten() {
            merged.insert(key.clone(), value.clone());
        }
    };
    let az = group["azs"][0].as_str().context("the group names no AZ")?;
    lay(named(&cloud["azs"], az, "AZ")?);
    lay(named(&cloud["vm_types"], group["vm_type"].as_str().unwrap_or_default(), "vm_type")?);
    for extension in group["vm_extensions"].as_array().into_iter().flatten() {
        lay(named(&cloud["vm_extensions"], extension.as_str().unwrap_or_default(), "vm_extension")?);
    }
    Ok(Value::Object(merged))
}

/// One instance of the group.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) index: usize,
    pub(crate) id: String,
    pub(crate) address: String,
}

/// The instances, with their static addresses.
pub(crate) fn instances(group: &Value) -> Result<Vec<Instance>> {
    let addresses = group["networks"][0]["static_ips"].as_array().context("no static_ips")?;
    let count = group["instances"].as_u64().context("no number of instances")?;
    ensure!(u64::try_from(addresses.len())? == count, "{count} instances and {} addresses", addresses.len());
    let of = |(index, address): (usize, &Value)| {
        let address = address.as_str().context("a static IP that is no text")?.to_owned();
        Ok(Instance { index, id: format!("00000000-0000-4000-8000-00000000000{index}"), address })
    };
    addresses.iter().enumerate().map(of).collect()
}

/// The `networks` argument of `create_vm` for one instance.
pub(crate) fn networks(cloud: &Value, group: &Value, address: &str) -> Result<Value> {
    let name = group["networks"][0]["name"].as_str().context("the group names no network")?;
    let subnet = &named(&cloud["networks"], name, "network")?["subnets"][0];
    let range = subnet["range"].as_str().context("the subnet has no range")?;
    let length: u32 = range.split_once('/').context("the range has no prefix")?.1.parse()?;
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    Ok(json!({ name: {
        "type": "manual", "ip": address, "prefix": length.to_string(),
        "netmask": std::net::Ipv4Addr::from(mask).to_string(), "gateway": subnet["gateway"], "dns": subnet["dns"],
        "default": ["dns", "gateway"], "cloud_properties": subnet["cloud_properties"],
    }}))
}

/// What the template renderer of the job `keepalived` is given for one instance.
pub(crate) fn rendering(group: &Value, all: &[Instance], instance: &Instance) -> Result<Value> {
    let job = named(&group["jobs"], "keepalived", "job")?;
    let peers: Vec<Value> = all
        .iter()
        .map(|i| {
            json!({ "name": group["name"], "index": i.index, "id": i.id, "address": i.address,
                    "bootstrap": i.index == 0 })
        })
        .collect();
    Ok(json!({
        "properties": job["properties"],
        "links": { "peers": { "instances": peers } },
        "spec": { "name": group["name"], "index": instance.index, "id": instance.id,
                  "bootstrap": instance.index == 0, "ip": instance.address, "address": instance.address },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_win_over_the_type_and_the_type_over_the_az_and_maps_are_not_merged() {
        let cloud = read(
            "azs: [{name: z1, cloud_properties: {availability_zone: nova, a: 1}}]\n\
             vm_types: [{name: t, cloud_properties: {a: 2, b: {x: 1}}}]\n\
             vm_extensions: [{name: e, cloud_properties: {b: {y: 2}}}, {name: f, cloud_properties: {c: 3}}]\n",
            &[],
        )
        .unwrap();
        let group = json!({ "azs": ["z1"], "vm_type": "t", "vm_extensions": ["e", "f"] });
        assert_eq!(
            cloud_properties(&cloud, &group).unwrap(),
            json!({ "availability_zone": "nova", "a": 2, "b": { "y": 2 }, "c": 3 })
        );
    }

    #[test]
    fn the_samples_of_the_documentation_are_what_the_story_deploys() {
        let variables = [("net_id", "n"), ("server_group", "s"), ("vrrp_group", "g")];
        let cloud = read(include_str!("../../../docs/example/cloud-config.yml"), &variables).unwrap();
        let manifest = read(include_str!("../../../docs/example/manifest.yml"), &[]).unwrap();
        let group = &manifest["instance_groups"][0];
        let properties = cloud_properties(&cloud, group).unwrap();
        assert_eq!(properties["allowed_address_pairs"], "10.10.0.240");
        assert_eq!(properties["scheduler_hints"]["group"], "s");
        let all = instances(group).unwrap();
        assert_eq!(networks(&cloud, group, &all[1].address).unwrap()["default"]["netmask"], "255.255.255.0");
        assert_eq!(rendering(group, &all, &all[1]).unwrap()["spec"]["bootstrap"], false);
    }

    #[test]
    fn the_terraform_sample_closes_what_it_opens() {
        let text = include_str!("../../../docs/example/reserved-port.tf");
        let (mut depth, mut quoted) = (0_i32, false);
        for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
            for letter in line.chars() {
                match letter {
                    '"' => quoted = !quoted,
                    '{' if !quoted => depth += 1,
                    '}' if !quoted => depth -= 1,
                    _ => {}
                }
                assert!(depth >= 0, "a brace too many: {line}");
            }
            assert!(!quoted, "a quote is not closed: {line}");
        }
        assert_eq!(depth, 0, "a brace is not closed");
        for word in ["device_owner", "ip_address", "protocol          = \"vrrp\""] {
            assert!(text.contains(word), "{word}");
        }
    }
}
