//! Every way in which something is shown, and no secret in it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use openstack::compute::ServerCreate;
use openstack::{Client, Config, Credentials, Error, Observer, Query, RequestReport, Secret};

use crate::standin::{Act, PASSWORD, Standin, answer, answer_with};

const USER_DATA: &str = "eyJhZ2VudCI6InNlY3JldCJ9";
const SECRETS: [&str; 4] = [PASSWORD, "tok-en-", USER_DATA, "proxy-pass"];

fn assert_clean(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} shows {secret}: {text}");
    }
}

/// Keeps everything an observer is shown.
#[derive(Default)]
struct Everything(Mutex<String>);

impl Observer for Everything {
    fn request(&self, report: &RequestReport<'_>) {
        writeln!(self.0.lock().unwrap(), "{report:?}").unwrap();
    }

    fn retry(&self, error: &Error, attempt: u32, wait: std::time::Duration) {
        writeln!(self.0.lock().unwrap(), "{error} {error:?} {attempt} {wait:?}").unwrap();
    }
}

#[test]
fn errors_and_reports_show_no_secret_though_the_service_echoes_them() {
    let echo =
        format!("Invalid input for field user_data. Value: {USER_DATA}. Password {PASSWORD}, token tok-en-1");
    let acts = [
        answer(400, &format!(r#"{{"badRequest":{{"message":"{echo}","code":400}}}}"#)),
        answer(400, &format!(r#"{{"NeutronError":{{"message":"{echo}","type":"x"}}}}"#)),
        answer(500, &format!("<html><body>{echo}</body></html>")),
        answer(403, &echo),
        answer(404, &echo),
        answer(409, &format!(r#"{{"faultstring":"{echo}"}}"#)),
        answer(413, &format!(r#"{{"overLimit":{{"message":"{echo}","retryAfter":"900"}}}}"#)),
        answer_with(301, "Location", "http://elsewhere/", &echo),
        answer_with(429, "Retry-After", "9999", &echo),
        answer(202, &echo),
        answer(202, r#"{"server":"eyJhZ2VudCI6InNlY3JldCJ9"}"#),
        Act::HangUp,
        Act::Truncated(echo.clone()),
    ];
    for act in acts {
        let cloud = Standin::start();
        cloud.script([act.clone()]);
        let seen = Arc::new(Everything::default());
        let (client, _) = cloud.client();
        let client = client.with_observer(Arc::clone(&seen) as Arc<dyn Observer>);
        let server = ServerCreate {
            name: "vm".into(),
            user_data: Some(USER_DATA.into()),
            admin_pass: Some(PASSWORD.into()),
            ..ServerCreate::default()
        };
        let error = client.compute().create_server(&server).unwrap_err();
        assert_clean("Display", &error.to_string());
        assert_clean("Debug", &format!("{error:?}"));
        assert_clean("source", &format!("{:?}", std::error::Error::source(&error)));
        assert_clean("the observer", &seen.0.lock().unwrap());
        assert_clean("the client", &format!("{client:?} {:?} {server:?}", client.session().unwrap()));
        assert!(!seen.0.lock().unwrap().is_empty());
    }
}

#[test]
fn a_refused_login_shows_no_password() {
    let cloud = Standin::start();
    let mut config = cloud.config();
    config.auth_url = format!("{}/other", cloud.root);
    config.proxy.no_proxy = None;
    cloud.script([answer(
        401,
        &format!(r#"{{"error":{{"message":"bad {PASSWORD}","title":"Unauthorized"}}}}"#),
    )]);
    let error = Client::new(config).unwrap().network().ports(&Query::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Keystone POST /other/v3/auth/tokens: 401 Unauthorized (Unauthorized): bad <redacted>"
    );
}

#[test]
fn settings_show_no_secret() {
    let mut config = Config::new(
        "http://k",
        Credentials::NamedApplicationCredential {
            name: "n".into(),
            user: openstack::User::Id("u".into()),
            secret: Secret::new(PASSWORD),
        },
    );
    config.proxy = openstack::ProxySettings::for_all("http://me:proxy-pass@proxy:3128");
    assert_clean("Config", &format!("{config:?}"));
    assert_clean("Client", &format!("{:?}", Client::new(config).unwrap()));
}
