//! Making something exactly once, though the answer may be lost.

use crate::client::Client;
use crate::error::Result;
use crate::retry::backoff;

/// Something that was made.
#[derive(Debug, Clone)]
pub struct Creation<T> {
    /// What the caller asked for.
    pub made: T,
    /// How it came about.
    pub origin: Origin,
    /// What lost requests made besides, under the same unique name: to be deleted by the caller.
    pub surplus: Vec<T>,
}

/// What has an id, so that two findings can be told apart.
pub trait Identified {
    /// The id.
    fn id(&self) -> &str;
}

impl Identified for String {
    fn id(&self) -> &str {
        self
    }
}

macro_rules! identified {
    ($($kind:ty),* $(,)?) => { $(impl Identified for $kind {
        fn id(&self) -> &str {
            &self.id
        }
    })* };
}

identified!(
    crate::compute::Server,
    crate::compute::ServerCreated,
    crate::compute::ServerGroup,
    crate::image::Image,
    crate::load_balancer::LoadBalancer,
    crate::load_balancer::Member,
    crate::load_balancer::Pool,
    crate::network::FloatingIp,
    crate::network::Network,
    crate::network::Port,
    crate::network::SecurityGroup,
    crate::network::Subnet,
    crate::volume::Snapshot,
    crate::volume::Volume,
);

/// How something came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// OpenStack answered the request.
    Answered,
    /// The answer was lost; it was found by its unique name.
    Found,
}

/// How often is looked after a lost answer before it is asked for again: what was asked for may appear late.
const LOOKS: u32 = 3;

impl Client {
    /// Makes something that has a unique name, and never makes it twice unseen.
    ///
    /// `create` sends the POST; `find` lists what bears the name. After a failure that leaves open whether it was
    /// carried out (a timeout, a reset connection, a 5xx), `find` is asked, with growing waits; only when it finds
    /// nothing is `create` called again. Every other error is returned as it is. If in the end nothing is known, the
    /// error is still ambiguous ([`Error::is_ambiguous`](crate::Error::is_ambiguous)): look again before giving up the name.
    ///
    /// Where `create` and `find` answer different types (a server), let both yield ids.
    pub fn create_or_find<T: Identified>(
        &self,
        mut create: impl FnMut() -> Result<T>,
        mut find: impl FnMut() -> Result<Vec<T>>,
    ) -> Result<Creation<T>> {
        let limits = self.limits();
        let started = self.clock().now();
        let mut attempt = 0;
        let mut lost: u32 = 0;
        loop {
            attempt += 1;
            let error = match create() {
                Ok(made) if lost == 0 => {
                    return Ok(Creation { made, origin: Origin::Answered, surplus: Vec::new() });
                }
                Ok(made) => {
                    // Made for sure; if it cannot be seen what else there is, that must not hide it.
                    let mut surplus = find().unwrap_or_default();
                    surplus.retain(|other| other.id() != made.id());
                    return Ok(Creation { made, origin: Origin::Answered, surplus });
                }
                Err(error) if error.is_ambiguous() => error,
                Err(error) => return Err(error),
            };
            lost += 1;
            for look in 1..=LOOKS {
                let wait =
                    error.retry_after().unwrap_or_else(|| backoff(look, self.clock().chance(), limits));
                if self.clock().now().saturating_sub(started) + wait >= limits.total {
                    return find().ok().and_then(found_creation).ok_or(error);
                }
                self.observer().retry(&error, attempt, wait);
                self.clock().sleep(wait);
                // An error of the look-up leaves open what was made: the first error is the one that tells that.
                let Ok(found) = find() else { return Err(error) };
                if let Some(creation) = found_creation(found) {
                    return Ok(creation);
                }
            }
            if attempt >= limits.attempts {
                return Err(error);
            }
        }
    }
}

fn found_creation<T>(found: Vec<T>) -> Option<Creation<T>> {
    let mut found = found.into_iter();
    let made = found.next()?;
    Some(Creation { made, origin: Origin::Found, surplus: found.collect() })
}
