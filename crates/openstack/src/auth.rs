//! Keystone v3: from credentials to a token and its catalog.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::config::{Credentials, Domain, Scope, User};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Session {
    /// The token itself.
    pub(crate) token: Secret,
    /// Counts the tokens of this client, so that two threads that saw the same 401 renew once.
    pub(crate) generation: u64,
    /// The project, if the token is for one.
    pub project_id: Option<String>,
    /// The project's name.
    pub project_name: Option<String>,
    /// The user.
    pub user_id: String,
    /// The names of the user's roles in the project.
    pub roles: Vec<String>,
    /// When the token ends, as Keystone writes it (ISO 8601, UTC).
    pub expires_at: String,
    /// Services and endpoints.
    pub catalog: Catalog,
}

/// `<auth_url>/v3/auth/tokens`, whatever the URL ends in.
pub(crate) fn tokens_url(auth_url: &str) -> Result<String> {
    let url = auth_url.trim().trim_end_matches('/');
    if url.contains("/v2.0") {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "auth_url '{auth_url}' is Keystone v2, which OpenStack removed in 2018: use the same URL with /v3"
            ),
        ));
    }
    let root = url.find("/v3").map_or(url, |end| &url[..end]);
    let scheme_and_host = root.split_once("://");
    if !matches!(scheme_and_host, Some(("http" | "https", rest)) if !rest.is_empty() && !rest.starts_with('/'))
    {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "auth_url '{auth_url}' is no URL of a Keystone: it looks like https://keystone.example:5000/v3"
            ),
        ));
    }
    if scheme_and_host.is_some_and(|(_, rest)| rest.contains('@')) {
        return Err(Error::new(
            ErrorKind::Config,
            "auth_url holds a user name: credentials have keys of their own",
        ));
    }
    Ok(format!("{root}/v3/auth/tokens"))
}

fn domain(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({ "id": id }),
        Domain::Name(name) => json!({ "name": name }),
    }
}

fn user(user: &User) -> serde_json::Map<String, Value> {
    let mut map = serde_json::Map::new();
    match user {
        User::Id(id) => {
            map.insert("id".into(), json!(id));
        }
        User::Name { name, domain: of } => {
            map.insert("name".into(), json!(name));
            map.insert("domain".into(), domain(of));
        }
    }
    map
}

/// The body of `POST /v3/auth/tokens`.
pub(crate) fn body(credentials: &Credentials) -> Value {
    match credentials {
        Credentials::Password { user: who, password, scope } => {
            let mut who = user(who);
            who.insert("password".into(), json!(password.expose()));
            let mut auth = json!({ "identity": { "methods": ["password"], "password": { "user": who } } });
            match scope {
                Scope::ProjectId(id) => auth["scope"] = json!({ "project": { "id": id } }),
                Scope::Project { name, domain: of } => {
                    auth["scope"] = json!({ "project": { "name": name, "domain": domain(of) } });
                }
                Scope::Default => {}
            }
            json!({ "auth": auth })
        }
        Credentials::ApplicationCredential { id, secret } => json!({ "auth": { "identity": {
            "methods": ["application_credential"],
            "application_credential": { "id": id, "secret": secret.expose() },
        } } }),
        Credentials::NamedApplicationCredential { name, user: who, secret } => {
            json!({ "auth": { "identity": {
            "methods": ["application_credential"],
            "application_credential": { "name": name, "user": user(who), "secret": secret.expose() },
        } } })
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    expires_at: String,
    project: Option<Named>,
    user: Named,
    #[serde(default)]
    roles: Vec<Named>,
    #[serde(default)]
    catalog: Catalog,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    name: String,
}

/// Reads Keystone's answer.
pub(crate) fn session(token: Secret, generation: u64, answer: &[u8]) -> Result<Session> {
    let answer: TokenAnswer = serde_json::from_slice(answer)
        .map_err(|error| Error::new(ErrorKind::Decode, format!("Keystone's answer is no token: {error}")))?;
    let Token { expires_at, project, user, roles, catalog } = answer.token;
    let (project_id, project_name) = project.map(|project| (project.id, project.name)).unzip();
    Ok(Session {
        token,
        generation,
        project_id,
        project_name,
        user_id: user.id,
        roles: roles.into_iter().map(|role| role.name).collect(),
        expires_at,
        catalog,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keystone_root_is_found_in_any_spelling() {
        for url in [
            "http://k:5000",
            "http://k:5000/",
            "http://k:5000/v3",
            "http://k:5000/v3/",
            "http://k:5000/v3/auth/tokens",
        ] {
            assert_eq!(tokens_url(url).unwrap(), "http://k:5000/v3/auth/tokens", "{url}");
        }
        assert_eq!(tokens_url("https://cloud/identity/v3").unwrap(), "https://cloud/identity/v3/auth/tokens");
        assert!(tokens_url("http://k:5000/v2.0").unwrap_err().message().contains("/v3"));
        for url in ["", "k:5000", "ftp://k", "http://", "http:///v3"] {
            assert_eq!(tokens_url(url).unwrap_err().kind(), ErrorKind::Config, "{url}");
        }
        assert!(!tokens_url("http://u:hunter2@k").unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn bodies_are_those_of_the_identity_api() {
        let default = Domain::Name("Default".into());
        let password = Credentials::Password {
            user: User::Name { name: "bosh".into(), domain: default.clone() },
            password: "p".into(),
            scope: Scope::Project { name: "proj".into(), domain: default },
        };
        assert_eq!(
            body(&password),
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user":
                    {"name": "bosh", "domain": {"name": "Default"}, "password": "p"}}},
                "scope": {"project": {"name": "proj", "domain": {"name": "Default"}}}}})
        );
        let by_id = Credentials::Password {
            user: User::Id("u1".into()),
            password: "p".into(),
            scope: Scope::ProjectId("p1".into()),
        };
        assert_eq!(body(&by_id)["auth"]["scope"], json!({"project": {"id": "p1"}}));
        let credential = Credentials::ApplicationCredential { id: "a1".into(), secret: "s".into() };
        assert_eq!(
            body(&credential),
            json!({"auth": {"identity": {"methods": ["application_credential"],
                "application_credential": {"id": "a1", "secret": "s"}}}})
        );
    }
}
