//! From what was written, and its surroundings, to a connection with every default filled in. Pure but for
//! the password file, which is handed in as a function.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::error::Problem;
use super::keys::{Fate, KEYS};
use super::surroundings::{Passfile, Surroundings};
use super::text::{Written, port_expected};
use super::values::SILENCE;
use super::{ChannelBinding, ConnInfo, Endpoint, Keepalives, Secret, SslMode, TargetSession, Tls, passfile};
use crate::nearest::nearest;

/// Fills the defaults in.
pub(super) fn resolve(
    written: Written,
    around: &Surroundings,
    read_passfile: impl FnOnce(&Path) -> Passfile,
) -> Result<ConnInfo, Problem> {
    let given = Given::collect(&written.values, around)?;
    if given.text("gssencmode") == Some("require") {
        let name = given.name("gssencmode");
        return Err(Problem::Unsupported { name, why: "backstay does not speak GSSAPI; use TLS" });
    }
    let user = given.text("user").map(str::to_string).or_else(|| around.user.clone());
    let user = user.ok_or(Problem::NoUser)?;
    let database = given.text("dbname").unwrap_or(&user).to_string();
    let mut endpoints = endpoints(&given, around)?;
    let passfile_path = given
        .text("passfile")
        .map(PathBuf::from)
        .or_else(|| around.home.as_ref().map(|home| home.join(".pgpass")));
    let mut notes = Vec::new();
    match (given.text("password"), passfile_path) {
        (Some(password), _) => {
            for endpoint in &mut endpoints {
                endpoint.password = Some(Secret::new(password));
            }
        }
        (None, Some(path)) => {
            let file = read_passfile(&path);
            notes.extend(file.ignored);
            for endpoint in &mut endpoints {
                let host = passfile_host(endpoint, around);
                endpoint.password =
                    passfile::find(&file.text, host, endpoint.port, &database, &user).map(Secret::new);
            }
        }
        (None, None) => {}
    }
    let application = given.text("application_name").or(given.text("fallback_application_name"));
    Ok(ConnInfo {
        endpoints,
        user,
        database,
        application_name: application.map(str::to_string),
        options: given.text("options").map(str::to_string),
        connect_timeout: given.number("connect_timeout")?.map(Duration::from_secs),
        tls: tls(&given, around)?,
        channel_binding: given.choice("channel_binding", ChannelBinding::NAMES)?.unwrap_or_default(),
        target_session: given.choice("target_session_attrs", TargetSession::NAMES)?.unwrap_or_default(),
        keepalives: keepalives(&given)?,
        silence: SILENCE,
        passfile: given.text("passfile").map(PathBuf::from),
        scheme: written.scheme,
        dialect: written.dialect,
        drivers_own: written.drivers_own,
        notes,
    })
}

/// The values that count, and the names under which an error speaks of them.
struct Given<'a>(BTreeMap<&'static str, (&'static str, &'a str)>);

impl<'a> Given<'a> {
    fn collect(
        written: &'a BTreeMap<&'static str, String>,
        around: &'a Surroundings,
    ) -> Result<Self, Problem> {
        let mut given = BTreeMap::new();
        for key in KEYS {
            let variable = key.variable.and_then(|name| Some((name, around.variables.get(name)?.as_str())));
            let variable = variable.filter(|(_, value)| !value.is_empty());
            let own = written.get(key.name).map(|value| (key.name, value.as_str()));
            // As in libpq an empty value counts as none; a text can so take a variable's effect away.
            match (own, variable) {
                (Some(own), _) => drop(given.insert(key.name, own)),
                (None, Some((name, _))) if matches!(key.fate, Fate::Refused(_)) => {
                    let Fate::Refused(why) = key.fate else { continue };
                    return Err(Problem::Unsupported { name, why });
                }
                (None, Some(variable)) => drop(given.insert(key.name, variable)),
                (None, None) => {}
            }
        }
        Ok(Self(given))
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    fn name(&self, key: &'static str) -> &'static str {
        self.0.get(key).map_or(key, |(name, _)| *name)
    }

    fn number<N: FromStr>(&self, key: &'static str) -> Result<Option<N>, Problem> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let wrong = |_| Problem::Value { name: self.name(key), expected: "a whole number, 0 or more".into() };
        text.trim().parse().map(Some).map_err(wrong)
    }

    fn choice<T: Copy>(
        &self,
        key: &'static str,
        names: &'static [(&'static str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(key) else { return Ok(None) };
        if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
            return Ok(Some(*value));
        }
        let all = names.iter().map(|(name, _)| *name);
        let expected = match nearest(text, all.clone()) {
            Some(near) => format!("`{near}`, as it seems"),
            None => format!("one of {}", all.collect::<Vec<_>>().join(", ")),
        };
        Err(Problem::Value { name: self.name(key), expected })
    }
}

fn endpoints(given: &Given<'_>, around: &Surroundings) -> Result<Vec<Endpoint>, Problem> {
    let list = |key| given.text(key).map(|text| text.split(',').map(str::trim).collect::<Vec<_>>());
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port").unwrap_or_default());
    let count = addresses.as_ref().or(names.as_ref()).map_or(1, Vec::len);
    if let Some(names) = names.as_ref().filter(|names| names.len() != count) {
        return Err(Problem::Lists { hosts: names.len(), others: count, what: "host addresses" });
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(Problem::Lists { hosts: count, others: ports.len(), what: "ports" });
    }
    (0..count)
        .map(|n| {
            let at = |list: &Option<Vec<&'_ str>>| {
                list.as_ref().and_then(|list| list.get(n)).copied().unwrap_or_default().to_string()
            };
            let port = ports.get(n).or(ports.first().filter(|_| ports.len() == 1)).copied();
            endpoint(&at(&names), &at(&addresses), port.unwrap_or_default(), given, around)
        })
        .collect()
}

fn endpoint(
    name: &str,
    address: &str,
    port: &str,
    given: &Given<'_>,
    around: &Surroundings,
) -> Result<Endpoint, Problem> {
    if name.contains('@') {
        return Err(Problem::Unescaped);
    }
    let address: Option<IpAddr> = match address {
        "" => None,
        text => Some(text.parse().map_err(|_| Problem::Value {
            name: given.name("hostaddr"),
            expected: "an IP address".into(),
        })?),
    };
    let host = match (name, address) {
        ("", Some(address)) => address.to_string(),
        ("", None) => around.socket_folder.clone().unwrap_or_else(|| "localhost".into()),
        (name, _) => name.to_string(),
    };
    let port = match port {
        "" => 5432,
        text => {
            text.parse().ok().filter(|port| *port > 0).ok_or_else(|| port_expected(given.name("port")))?
        }
    };
    Ok(Endpoint { host, address, port, password: None })
}

/// The name under which the password file knows an endpoint: a default socket folder is `localhost`.
fn passfile_host<'e>(endpoint: &'e Endpoint, around: &Surroundings) -> &'e str {
    if around.socket_folder.as_deref() == Some(&endpoint.host) { "localhost" } else { &endpoint.host }
}

fn tls(given: &Given<'_>, around: &Surroundings) -> Result<Tls, Problem> {
    let system = given.text("sslrootcert") == Some("system");
    let mode = given.choice("sslmode", SslMode::NAMES)?;
    // As libpq 16: the system's roots vouch for the whole internet, so only the name makes them mean anything.
    if system && mode.is_some_and(|mode| mode != SslMode::VerifyFull) {
        let expected = "`verify-full` where `sslrootcert` is `system`".to_string();
        return Err(Problem::Value { name: given.name("sslmode"), expected });
    }
    let least = given.text("ssl_min_protocol_version");
    let only_13 = match least {
        None | Some("TLSv1" | "TLSv1.1" | "TLSv1.2") => false,
        Some("TLSv1.3") => true,
        Some(_) => {
            let name = given.name("ssl_min_protocol_version");
            return Err(Problem::Value { name, expected: "`TLSv1.2` or `TLSv1.3`".into() });
        }
    };
    let file = |key: &str| given.text(key).map(PathBuf::from);
    Ok(Tls {
        mode: mode.unwrap_or(if system { SslMode::VerifyFull } else { SslMode::Prefer }),
        system_roots: system,
        root: file("sslrootcert").filter(|_| !system),
        certificate: file("sslcert"),
        key: file("sslkey"),
        revoked: file("sslcrl"),
        default_folder: around.below_home(""),
        only_13,
    })
}

fn keepalives(given: &Given<'_>) -> Result<Keepalives, Problem> {
    // Zero means the system's own value in libpq; ours is better known than the system's.
    let number = |key| -> Result<Option<u32>, Problem> { Ok(given.number(key)?.filter(|n| *n > 0)) };
    let seconds = |key| -> Result<Option<Duration>, Problem> {
        Ok(number(key)?.map(|n| Duration::from_secs(n.into())))
    };
    Ok(Keepalives {
        off: given.number::<u32>("keepalives")? == Some(0),
        idle: seconds("keepalives_idle")?,
        interval: seconds("keepalives_interval")?,
        count: number("keepalives_count")?,
        user_timeout: number("tcp_user_timeout")?.map(|n| Duration::from_millis(n.into())),
    })
}
