//! Keeps up with what a server offers: reads it, and again whenever it may have changed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use json_rpc::{Members, Notification, Outcome, Raw};
use mcp_transport::{Line, Outgoing, Party};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    changes::{Changes, EVERYTHING},
    reading,
    site::Site,
};
use crate::{
    catalogue::{Kind, Offer},
    errors,
};

/// Changes that come within this time are read together.
const TOGETHER: Duration = Duration::from_millis(100);
/// However short a time a list may be kept, it is not read more often than this.
const SHORTEST: Duration = Duration::from_secs(1);
/// A stream of news that lived for longer was a good one.
const STABLE: Duration = Duration::from_secs(5);

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const WANTED: &[u8] =
    br#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}}"#;

/// Reads what the server offers, and again whenever it may have changed, for as long as it is asked to. `is_read` tells when that
/// was tried for the first time.
pub(super) async fn follow(site: &Arc<Site>, line: &Arc<Line>, is_read: &watch::Sender<bool>) {
    let hears = watch::Sender::new(false);
    tokio::join!(read(site, line, hears.subscribe(), is_read), listen(site, line, &hears));
}

async fn read(site: &Site, line: &Line, hears: watch::Receiver<bool>, is_read: &watch::Sender<bool>) {
    let settings = &site.desk.settings;
    let mut offer = Offer::clone(&site.desk.offer()); // what cannot be read now stays as it was
    site.may_have_changed(&EVERYTHING);
    loop {
        let mut kinds = site.changes.take();
        if kinds.is_empty() {
            kinds.extend(EVERYTHING); // it is time
        }
        let reading = timeout(settings.call_timeout, reading::read(line, offer.clone(), &kinds)).await;
        let problem = match reading {
            Ok(reading) => {
                offer = reading.offer;
                site.desk.publish(site.place, offer.clone());
                reading.problem
            }
            Err(_late) => Some("its lists did not come in time".to_owned()),
        };
        site.has_read(problem.as_deref());
        if let Some(problem) = &problem {
            tracing::warn!(
                upstream.name = &*site.desk.name,
                problem,
                "what it offers cannot be read as a whole"
            );
            site.desk.failed(site.place);
        }
        is_read.send_replace(true);
        let usual = settings.health_interval;
        let again = if problem.is_some() { usual } else { freshness(&offer, *hears.borrow(), usual) };
        tokio::select! {
            () = site.changes.come() => sleep(TOGETHER).await,
            () = sleep(again) => {}
        }
    }
}

/// How long the offer need not be read again if nothing is heard. A server that does not say when its lists change is asked in
/// its own time, or else in the usual one.
fn freshness(offer: &Offer, hears: bool, usual: Duration) -> Duration {
    let capabilities =
        offer.capabilities.as_ref().and_then(|known| Members::of(known).ok()).unwrap_or_default();
    let times = EVERYTHING.into_iter().filter_map(|kind| {
        let capability = Members::of(capabilities.get(reading::capability(kind))?).unwrap_or_default();
        let announces = capability.get("listChanged").is_some_and(|changes| changes.as_bytes() == b"true");
        let listing = offer.listing(kind);
        // A server that has just started may not have found its tools yet.
        let has_none = kind == Kind::Tools && listing.items.is_empty();
        if has_none {
            return Some(usual);
        }
        let time = listing.time_to_live.filter(|time| !time.is_zero()).unwrap_or(usual);
        (!(hears && announces)).then(|| time.max(SHORTEST.min(usual)))
    });
    times.min().unwrap_or(FOR_EVER)
}

/// Nobody waits for a year.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// In the newer era a server tells only those who listen. `hears` says whether it does.
async fn listen(site: &Arc<Site>, line: &Line, hears: &watch::Sender<bool>) {
    if !line.is_modern() {
        hears.send_replace(true);
        return;
    }
    let wanted = Raw::read(Bytes::from_static(WANTED)).expect("it is JSON");
    let ear = Arc::new(Ear { site: site.clone(), hears: hears.clone() });
    let mut wait = TOGETHER;
    loop {
        let opened = Instant::now();
        let params = line.stamp(Some(wanted.clone()));
        let request = Outgoing { method: "subscriptions/listen".into(), params, mirrored: Vec::new() };
        let heard = line.request(request, Some(ear.clone())).await;
        let did_hear = hears.send_replace(false);
        if let Ok(Err(_refused)) = heard {
            return; // it does not tell such things
        }
        if did_hear {
            site.may_have_changed(&EVERYTHING); // something may have been missed
        }
        wait = if opened.elapsed() > STABLE { TOGETHER } else { wait * 2 };
        sleep(wait.min(site.desk.settings.health_interval)).await;
    }
}

/// Hears of changes.
struct Ear {
    site: Arc<Site>,
    hears: watch::Sender<bool>,
}

#[async_trait]
impl Party for Ear {
    async fn told(&self, notification: Notification) {
        if notification.method == ACKNOWLEDGED {
            self.hears.send_replace(true);
        } else if let Some(kinds) = Changes::named_by(&notification.method) {
            self.site.may_have_changed(kinds);
        }
    }

    async fn asked(&self, _method: &str, _params: Option<Raw>) -> Outcome {
        Err(errors::not_answered("nobody is asked while changes are listened to"))
    }
}
