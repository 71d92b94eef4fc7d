//! The connections to one replica: the main one, and those that clients of the older era need beside it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use json_rpc::Raw;
use mcp_transport::Era;
use tokio::time::Instant;

use super::{
    Behalf, Origin, capabilities,
    connection::Connection,
    desk::lock,
    host::Fate,
    keeper,
    site::{Site, Spoken},
};
use crate::Sessions;

/// Most connections to one replica over the network, and most processes of it.
const MOST_CONNECTIONS: usize = 256;
const MOST_CHILDREN: usize = 64;

/// Longest text of a client's capabilities that is remembered.
const MOST_REMEMBERED: usize = 1024;

/// The connections to one replica.
pub(super) struct Pool {
    pub(super) site: Arc<Site>,
    pub(super) main: Arc<Connection>,
    /// What the main connection says that its client can do.
    capabilities: Raw,
    others: Mutex<Others>,
}

#[derive(Default)]
struct Others {
    connections: HashMap<Owner, Arc<Connection>>,
    /// What clients can do, as they say it, and what of it is passed on.
    passed_on: HashMap<Raw, Raw>,
}

/// Who uses a connection of the older era.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    Everybody,
    /// All who can do this.
    Alike(Raw),
    Session(u64),
    /// One call at a time, of a caller's clients without a session that can do this.
    Solo {
        caller: u32,
        capabilities: Raw,
        number: usize,
    },
}

impl Owner {
    /// Whether its clients can do what is not known here. Of that there is any amount, so that these are the first to go.
    fn is_odd(&self) -> bool {
        match self {
            Self::Alike(capabilities) | Self::Solo { capabilities, .. } => {
                capabilities::has_extras(capabilities)
            }
            Self::Everybody | Self::Session(_) => false,
        }
    }
}

/// There are too many connections, and all are used.
pub(super) struct Crowded;

impl Pool {
    /// Starts with the main connection.
    pub(super) fn start(site: Site) -> Self {
        let site = Arc::new(site);
        let capabilities = capabilities::shared(site.replica.reach.keeps_requests_apart());
        let main = Connection::new(&site, None, true, site.desk.settings.era, capabilities.clone());
        let main = Arc::new(main);
        site.desk.tasks.spawn(keeper::keep(main.clone()));
        Self { site, main, capabilities, others: Mutex::default() }
    }

    /// The connection for a call on this behalf. What the server speaks must be known, as far as it matters.
    pub(super) fn visit(&self, behalf: &Behalf) -> Result<Visit, Crowded> {
        let is_main = match self.site.spoken() {
            Spoken::Unknown | Spoken::Modern => true,
            Spoken::ModernAtLeast => behalf.is_modern || self.site.leaves_legacy_alone(),
            Spoken::Both => behalf.is_modern,
            Spoken::Legacy => false,
        };
        if is_main {
            return Ok(Visit::begin(self.main.clone(), behalf.origin()));
        }
        let mut others = lock(&self.others);
        let owner = self.owner(&mut others, behalf);
        let is_legacy = self.site.spoken() == Spoken::Legacy;
        let fits_main = match &owner {
            Owner::Everybody => true,
            Owner::Alike(capabilities) => *capabilities == self.capabilities,
            Owner::Session(_) | Owner::Solo { .. } => false,
        };
        if is_legacy && fits_main {
            return Ok(Visit::begin(self.main.clone(), behalf.origin()));
        }
        let connection = match others.connections.get(&owner) {
            Some(connection) if !connection.stop.is_cancelled() => connection.clone(),
            _ => {
                self.make_room(&mut others)?;
                let connection = self.connection(&owner, behalf);
                others.connections.insert(owner, connection.clone());
                connection
            }
        };
        // While the others are locked: so nobody takes it for unused.
        Ok(Visit::begin(connection, behalf.origin()))
    }

    fn owner(&self, others: &mut Others, behalf: &Behalf) -> Owner {
        match (self.site.desk.settings.sessions, behalf.session) {
            (Sessions::PerClient, Some(session)) => Owner::Session(session),
            (Sessions::PerClient, None) => {
                let (caller, capabilities) = (behalf.owner.number(), self.passed_on(others, behalf));
                let solo = |number| Owner::Solo { caller, capabilities: capabilities.clone(), number };
                let is_free = |solo: &Owner| {
                    let known = others.connections.get(solo);
                    known.is_none_or(|connection| !connection.host.usage().is_used)
                };
                (0..).map(solo).find(is_free).expect("connections are bounded, numbers are not")
            }
            (Sessions::Shared, _) if self.site.replica.reach.is_child() => Owner::Everybody,
            (Sessions::Shared, _) => Owner::Alike(self.passed_on(others, behalf)),
        }
    }

    /// What of the client's capabilities is passed on.
    fn passed_on(&self, others: &mut Others, behalf: &Behalf) -> Raw {
        if let Some(known) = others.passed_on.get(&behalf.capabilities) {
            return known.clone();
        }
        let is_own = self.site.desk.settings.sessions == Sessions::PerClient;
        let with_roots = is_own || self.site.replica.reach.keeps_requests_apart();
        let passed = capabilities::passed_on(&behalf.capabilities, with_roots);
        let said = behalf.capabilities.as_str();
        // A copy: the text is a part of a request, all of which it would keep alive.
        if said.len() <= MOST_REMEMBERED
            && let Ok(said) = Raw::read(said.to_owned())
        {
            if others.passed_on.len() >= MOST_CONNECTIONS {
                others.passed_on.clear();
            }
            others.passed_on.insert(said, passed.clone());
        }
        passed
    }

    fn connection(&self, owner: &Owner, behalf: &Behalf) -> Arc<Connection> {
        let (session, capabilities) = match owner {
            Owner::Everybody => (None, self.capabilities.clone()),
            Owner::Alike(capabilities) | Owner::Solo { capabilities, .. } => (None, capabilities.clone()),
            Owner::Session(session) => (Some(*session), capabilities::passed_on(&behalf.capabilities, true)),
        };
        let connection = Arc::new(Connection::new(&self.site, session, false, Era::Legacy, capabilities));
        self.site.desk.tasks.spawn(keeper::keep(connection.clone()));
        connection
    }

    /// Closes a connection if there are too many: that which was not used for the longest time. What belongs to a session stays: it may
    /// hold what the client has begun.
    fn make_room(&self, others: &mut Others) -> Result<(), Crowded> {
        others.connections.retain(|_, connection| !connection.stop.is_cancelled());
        let most = if self.site.replica.reach.is_child() { MOST_CHILDREN } else { MOST_CONNECTIONS };
        if others.connections.len() < most {
            return Ok(());
        }
        let unused = others.connections.iter().filter_map(|(owner, connection)| {
            let usage = connection.host.usage();
            let can_go = !usage.is_used && !matches!(owner, Owner::Session(_));
            can_go.then(|| ((!owner.is_odd(), usage.last_used), owner.clone()))
        });
        let first = unused.min_by_key(|(order, _): &((bool, Instant), _)| *order);
        let (_, owner) = first.ok_or(Crowded)?;
        if let Some(connection) = others.connections.remove(&owner) {
            connection.stop.cancel();
        }
        Ok(())
    }

    /// A session has ended, and with it the connection that was its alone.
    pub(super) fn forget(&self, session: u64) {
        if let Some(connection) = lock(&self.others).connections.remove(&Owner::Session(session)) {
            connection.stop.cancel();
        }
    }

    /// Lets what was given up try again.
    pub(super) fn revive(&self) {
        self.main.revive();
        lock(&self.others).connections.values().for_each(|connection| connection.revive());
    }
}

/// A call that uses a connection, or is about to.
pub(super) struct Visit {
    pub(super) connection: Arc<Connection>,
    origin: Origin,
    fate: Fate,
}

impl Visit {
    fn begin(connection: Arc<Connection>, origin: Origin) -> Self {
        connection.host.begin(origin);
        Self { connection, origin, fate: Fate::Undelivered }
    }

    /// The call is being delivered: unless something else is said it was given up.
    pub(super) fn sent(&mut self) {
        self.fate = Fate::GivenUp;
    }

    /// The call was answered, or not delivered.
    pub(super) fn ended(mut self, was_answered: bool) {
        self.fate = if was_answered { Fate::Answered } else { Fate::Undelivered };
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.connection.host.end(self.origin, self.fate);
    }
}
