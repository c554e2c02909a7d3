use super::*;

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, clouds: &str, secure: Option<&str>) -> Self {
        let path = std::env::temp_dir().join(format!("openstack-clouds-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("clouds.yaml"), clouds).unwrap();
        if let Some(secure) = secure {
            std::fs::write(path.join("secure.yaml"), secure).unwrap();
        }
        Self(path)
    }

    fn load(&self, cloud: Option<&str>) -> Result<Config> {
        load(&Source { cloud, variable: &|_| None, folders: vec![self.0.clone()] })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const CLOUDS: &str = "
clouds:
  lab:
    auth:
      auth_url: http://127.0.0.1:5000/v3
      username: bosh
      project_name: bosh
      user_domain_name: Default
      project_domain_id: default
    region_name: RegionOne
    endpoint_type: internalURL
    cacert: /etc/ca.pem
    network_endpoint_override: http://n:9696
  credential:
    auth_type: v3applicationcredential
    auth: {auth_url: http://k, application_credential_id: i, application_credential_secret: s}
    verify: false
";

#[test]
fn a_cloud_is_read_with_its_password_from_secure_yaml() {
    let folder = Folder::new("read", CLOUDS, Some("clouds: {lab: {auth: {password: 1234}}}"));
    let config = folder.load(Some("lab")).unwrap();
    assert_eq!(config.auth_url, "http://127.0.0.1:5000/v3");
    assert_eq!((config.region.as_deref(), config.interface), (Some("RegionOne"), Interface::Internal));
    assert_eq!(config.trust, Trust::File("/etc/ca.pem".into()));
    assert_eq!(config.endpoints[&Service::Network], "http://n:9696");
    let Credentials::Password { user, password, scope } = config.credentials else { panic!("a password") };
    assert_eq!(user, User::Name { name: "bosh".into(), domain: Domain::Name("Default".into()) });
    assert_eq!(scope, Scope::Project { name: "bosh".into(), domain: Domain::Id("default".into()) });
    assert_eq!(password.expose(), "1234");

    let config = folder.load(Some("credential")).unwrap();
    assert_eq!(config.trust, Trust::Anyone);
    assert!(matches!(config.credentials, Credentials::ApplicationCredential { id, .. } if id == "i"));
}

#[test]
fn the_environment_chooses_the_cloud_or_is_the_cloud() {
    let folder = Folder::new("env", CLOUDS, None);
    let chosen = |name: &str| (name == "OS_CLOUD").then(|| "credential".to_owned());
    let config = load(&Source { cloud: None, variable: &chosen, folders: vec![folder.0.clone()] }).unwrap();
    assert_eq!(config.auth_url, "http://k");

    let environment = |name: &str| {
        let value = match name {
            "OS_AUTH_URL" => "http://e:5000",
            "OS_USERNAME" => "u",
            "OS_PASSWORD" => "p",
            "OS_PROJECT_ID" => "42",
            "OS_REGION_NAME" => "R",
            "OS_INSECURE" => "1",
            "https_proxy" => "http://proxy:3128",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = load(&Source { cloud: None, variable: &environment, folders: vec![] }).unwrap();
    assert_eq!((config.auth_url.as_str(), config.region.as_deref()), ("http://e:5000", Some("R")));
    assert_eq!((config.trust, config.proxy.https.as_deref()), (Trust::Anyone, Some("http://proxy:3128")));
    assert!(
        matches!(config.credentials, Credentials::Password { scope: Scope::ProjectId(id), .. } if id == "42")
    );
}

#[test]
fn errors_name_file_cloud_key_and_mend() {
    let folder = Folder::new("errors", CLOUDS, None);
    let told = |cloud: Option<&str>, parts: &[&str]| {
        let error = folder.load(cloud).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        for part in parts {
            assert!(error.message().contains(part), "{error} lacks {part}");
        }
    };
    told(Some("lab"), &["clouds.yaml", "cloud 'lab'", "auth.password is missing", "secure.yaml"]);
    told(Some("lap"), &["no cloud 'lap'", "did you mean 'lab'?", "lab, credential"]);
    told(None, &["which cloud?", "OS_CLOUD", "lab, credential"]);

    let wrong = [
        (
            "clouds: {a: {auth: {auth_url: http://k, username: u, pasword: x}}}",
            "'auth.pasword' is not known: did you mean 'password'?",
        ),
        ("clouds: {a: {auth: {username: u}}}", "auth.auth_url is missing"),
        ("clouds: {a: {auth: {auth_url: [1]}}}", "auth.auth_url is no text"),
        (
            "clouds: {a: {auth: {auth_url: u, username: u, password: p}, verify: maybe}}",
            "verify is 'maybe': write true or false",
        ),
        (
            "clouds: {a: {auth: {auth_url: u, username: u, password: p}, interface: outer}}",
            "interface is 'outer'",
        ),
        (
            "clouds: {a: {auth: {auth_url: u}, auth_type: v3oidcpassword}}",
            "auth_type 'v3oidcpassword' is not supported",
        ),
        ("clouds: {a: {profile: vendor, auth: {username: u}}}", "profile is not supported"),
        ("clouds: [", "clouds.yaml:2:1: no YAML"),
        ("cloud: {}", "no 'clouds:'"),
    ];
    for (index, (text, part)) in wrong.iter().enumerate() {
        let folder = Folder::new(&format!("wrong-{index}"), text, None);
        let error = folder.load(Some("a")).unwrap_err();
        assert!(error.message().contains(part), "{error} lacks {part}");
    }
    let nowhere = Source { cloud: None, variable: &|_| None, folders: vec!["/nowhere".into()] };
    assert!(load(&nowhere).unwrap_err().message().contains("no clouds.yaml in /nowhere"));
}

#[test]
fn a_broken_file_shows_no_password() {
    let folder = Folder::new("secret", "clouds: {a: {auth: {password: hunter22, x: 'y}}}", None);
    let error = folder.load(Some("a")).unwrap_err();
    assert!(!format!("{error}{error:?}").contains("hunter22"), "{error}");
}

#[test]
fn words_are_near_by_edits() {
    assert_eq!([distance("pasword", "password"), distance("", "ab"), distance("lab", "lab")], [1, 2, 0]);
}
